using System.Runtime.Versioning;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Media;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Tests.Plugins;

[SupportedOSPlatform("linux")]
public sealed class PluginRejectionTests
{
    [Theory]
    [InlineData("WrongMajor", "SP1007", "expected 1.x up to 1.0, found built against StoragePlugins.Contracts 2.0")]
    [InlineData("NewerMinor", "SP1008", "found built against StoragePlugins.Contracts 1.9")]
    [InlineData("NewerRuntime", "SP1005", "found .NETCoreApp,Version=v99.0")]
    [InlineData("NoAttribute", "SP1010", "no plugin")]
    [InlineData("MalformedId", "SP1012", "found 'Not An Id'")]
    [InlineData("NoExport", "SP1013", "[Strategy(\"plain\")] but no export")]
    [InlineData("SameIdTwice", "SP1014", "Plain.Ordering and Plain.Second")]
    [InlineData("NoStrategy", "SP1020", "exports no strategy")]
    [InlineData("MissingDependency", "SP1018", "expected ThirdParty.dll")]
    public void A_plugin_that_cannot_work_is_rejected_with_its_own_diagnostic_and_the_others_go_on(string name, string code, string text)
    {
        using Fixture fixture = Fixture.With("Toy", name);
        using PluginCatalog catalog = fixture.Scan();

        PluginEntry rejected = Assert.Single(catalog.Plugins, plugin => plugin.State == PluginState.Rejected);
        Diagnostic finding = Assert.Single(rejected.Findings);
        Assert.Equal(code, finding.Code);
        Assert.Equal(DiagnosticSeverity.Error, finding.Severity);
        Assert.Contains(text, finding.Message, StringComparison.Ordinal);
        Assert.Contains(name, finding.Message, StringComparison.Ordinal);
        Assert.NotNull(finding.Fix);
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("toy-order"));
    }

    [Fact]
    public void A_file_that_is_no_assembly_is_said_to_be_what_it_is()
    {
        using Fixture fixture = Fixture.With("Toy");
        fixture.Write("elf/native.dll", File.ReadAllBytes("/bin/true"));
        fixture.Write("text/readme.dll", "just words"u8.ToArray());
        fixture.Write("pe/windows.dll", NativeWindowsLibrary());
        using PluginCatalog catalog = fixture.Scan();

        Assert.Contains("a native ELF library", Rejection(catalog, "elf", "SP1002"), StringComparison.Ordinal);
        Assert.Contains("no executable image", Rejection(catalog, "text", "SP1002"), StringComparison.Ordinal);
        Assert.Contains("a native Windows library", Rejection(catalog, "pe", "SP1002"), StringComparison.Ordinal);
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("toy-order"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(1500)]
    [InlineData(-1)]
    public void A_cut_assembly_is_rejected_wherever_it_ends(int length)
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(Fixture.Built("Toy"), "Toy.dll"));
        using Fixture fixture = Fixture.With("LibraryOne");
        fixture.Write("cut/Toy.dll", whole[..(length < 0 ? whole.Length - 600 : length)]);
        using PluginCatalog catalog = fixture.Scan();

        Rejection(catalog, "cut", "SP1003");
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("library-one"));
    }

    [Fact]
    public void No_damage_to_an_assembly_makes_the_probe_throw()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(Fixture.Built("Toy"), "Toy.dll"));
        using var fixture = new Fixture();
        var random = new Random(20261120);
        for (int round = 0; round < 400; round++)
        {
            byte[] damaged = (byte[])whole.Clone();
            for (int i = 0; i < 20; i++) damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            PluginProbeResult probe = PluginProbe.Examine(fixture.Write("Damaged.dll", damaged));
            Assert.True(probe.Manifest is not null || probe.Rejection is not null);
        }
    }

    [Fact]
    public void Two_plugins_in_one_folder_are_both_refused_by_name()
    {
        using Fixture fixture = Fixture.With("Toy");
        fixture.Add("DuplicateId", "Toy");
        using PluginCatalog catalog = fixture.Scan();
        Assert.Contains("DuplicateId.dll, Toy.dll", Rejection(catalog, "Toy", "SP1011"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_copy_of_the_contracts_in_the_folder_is_ignored_with_a_warning()
    {
        using Fixture fixture = Fixture.With("Toy");
        File.Copy(Path.Combine(Fixture.Built("contracts-2.0"), "StoragePlugins.Contracts.dll"), Path.Combine(fixture.Root, "Toy", "StoragePlugins.Contracts.dll"));
        using PluginCatalog catalog = fixture.Scan();

        PluginEntry toy = Assert.Single(catalog.Plugins);
        Diagnostic warning = Assert.Single(toy.Findings);
        Assert.Equal(("SP1015", DiagnosticSeverity.Warning), (warning.Code, warning.Severity));
        Assert.IsAssignableFrom<IBlockFormat>(catalog.Get<IBlockFormat>("toy"));
    }

    [Theory]
    [InlineData("folder", UnixFileMode.OtherWrite)]
    [InlineData("file", UnixFileMode.OtherWrite)]
    [InlineData("root", UnixFileMode.OtherWrite)]
    public void What_others_can_write_is_not_loaded(string what, UnixFileMode extra)
    {
        using Fixture fixture = Fixture.With("Toy", "LibraryOne");
        string path = what switch { "folder" => Path.Combine(fixture.Root, "Toy"), "file" => Path.Combine(fixture.Root, "Toy", "Toy.dll"), _ => fixture.Root };
        File.SetUnixFileMode(path, File.GetUnixFileMode(path) | extra);
        if (what == "root")
        {
            Assert.Equal("SP1009", Assert.Throws<DiagnosticException>(() => fixture.Scan()).Code);
            return;
        }

        using PluginCatalog catalog = fixture.Scan();
        Assert.Contains("others could run code here", Rejection(catalog, "Toy", "SP1009"), StringComparison.Ordinal);
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("library-one"));
    }

    [Fact]
    public void A_group_of_several_users_may_not_write_a_plugin()
    {
        using Fixture fixture = Fixture.With("Toy");
        string folder = Path.Combine(fixture.Root, "Toy");
        if (!Command.TryRun("/bin/chgrp", "daemon", folder)) return; // only root, or a member, can give a file to that group
        File.SetUnixFileMode(folder, File.GetUnixFileMode(folder) | UnixFileMode.GroupWrite);
        using PluginCatalog catalog = fixture.Scan();
        Assert.Contains("chmod g-w", Rejection(catalog, "Toy", "SP1009"), StringComparison.Ordinal);
    }

    [Fact]
    public void What_another_user_owns_is_not_loaded()
    {
        using Fixture fixture = Fixture.With("Toy");
        if (!Command.TryRun("/bin/chown", "nobody", Path.Combine(fixture.Root, "Toy", "Toy.dll"))) return; // only root can give files away
        using PluginCatalog catalog = fixture.Scan();
        Assert.Contains("another user", Rejection(catalog, "Toy", "SP1009"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_named_directory_that_is_missing_is_an_error()
    {
        var path = new PluginSearchPath();
        path.Add("/nonexistent/plugins", "--plugins");
        Assert.Equal("SP1001", Assert.Throws<DiagnosticException>(() => PluginCatalog.Scan(path)).Code);
    }

    private static string Rejection(PluginCatalog catalog, string folder, string code)
    {
        PluginEntry entry = Assert.Single(catalog.Plugins, plugin => plugin.Path.Contains($"/{folder}", StringComparison.Ordinal));
        Assert.Equal(PluginState.Rejected, entry.State);
        return Assert.Single(entry.Findings, finding => finding.Code == code).Message;
    }

    // The smallest PE image without a CLI header: DOS header, COFF header, optional header with empty directories.
    private static byte[] NativeWindowsLibrary()
    {
        byte[] image = new byte[0x200];
        "MZ"u8.CopyTo(image);
        image[0x3c] = 0x40;
        "PE\0\0"u8.CopyTo(image.AsSpan(0x40));
        image[0x44] = 0x64;
        image[0x45] = 0x86;
        image[0x54] = 0xf0;
        image[0x58] = 0x0b;
        image[0x59] = 0x02;
        image[0x58 + 108] = 16;
        return image;
    }
}
