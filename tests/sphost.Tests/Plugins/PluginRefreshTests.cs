using System.Reflection;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Tests.Plugins;

/// <summary>Plugins that come, change and go while a host runs; several versions of one; copies; lists of what may run.</summary>
public sealed class PluginRefreshTests
{
    [Fact]
    public void Plugin_that_appears_is_usable_and_what_was_there_keeps_its_objects()
    {
        using Fixture fixture = Fixture.With("LibraryOne");
        using PluginCatalog catalog = fixture.Scan();
        IOrderingPrimitive before = catalog.Get<IOrderingPrimitive>("library-one");
        fixture.Add("Toy");
        (IReadOnlyList<PluginEntry> added, IReadOnlyList<PluginEntry> removed) = catalog.Refresh();
        Assert.Equal("Toy", Assert.Single(added).Name);
        Assert.Empty(removed);
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("toy-order"));
        Assert.Same(before, catalog.Get<IOrderingPrimitive>("library-one"));
        Assert.Equal((0, 0), Counts(catalog.Refresh()));
    }

    [Fact]
    public void Plugin_that_is_removed_cannot_be_asked_for_and_its_objects_live_on()
    {
        using Fixture fixture = Fixture.With("LibraryOne", "LibraryTwo");
        using PluginCatalog catalog = fixture.Scan(shadow: ShadowFolder.Create());
        IOrderingPrimitive inUse = catalog.Get<IOrderingPrimitive>("library-one");
        Directory.Delete(Path.Combine(fixture.Root, "LibraryOne"), recursive: true);
        Assert.Equal((0, 1), Counts(catalog.Refresh()));
        Assert.Equal("SP2007", Assert.Throws<DiagnosticException>(() => catalog.Get<IOrderingPrimitive>("library-one")).Code);
        Assert.Equal("first", inUse.ToString());
        Assert.Equal("second", catalog.Get<IOrderingPrimitive>("library-two").ToString());
    }

    [Fact]
    public void Plugin_that_appears_broken_disturbs_nobody()
    {
        using Fixture fixture = Fixture.With("Toy");
        using PluginCatalog catalog = fixture.Scan();
        foreach (string broken in new[] { "WrongMajor", "NewerRuntime", "MalformedId" }) fixture.Add(broken);
        fixture.Write("cut/cut.dll", File.ReadAllBytes(Path.Combine(Fixture.Built("Toy"), "Toy.dll"))[..1000]);
        Assert.Equal((4, 0), Counts(catalog.Refresh()));
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("toy-order"));
        Assert.All(catalog.Plugins.Where(plugin => plugin.Name != "Toy"), plugin => Assert.Equal(PluginState.Rejected, plugin.State));
    }

    [Fact]
    public void Id_that_a_newcomer_claims_too_belongs_to_neither_until_one_goes()
    {
        using Fixture fixture = Fixture.With("Toy");
        using PluginCatalog catalog = fixture.Scan();
        string intruder = fixture.Add("ToyOther");
        catalog.Refresh();
        Assert.Equal("SP1014", Assert.Throws<DiagnosticException>(() => catalog.Require(StrategyKind.Ordering, "toy-order")).Code);
        Directory.Delete(intruder, recursive: true);
        catalog.Refresh();
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("toy-order"));
        Assert.Empty(catalog.Plugins.Single().Findings);
    }

    [Theory]
    [InlineData("[1.0.0]", "Toy 1.0.0")]
    [InlineData("[1.0,1.5)", "Toy 1.0.0")]
    [InlineData("1.5.0-alpha", "Toy 1.10.0-beta.1")]
    public void Versions_stand_side_by_side_and_a_range_picks(string range, string expected)
    {
        using Fixture fixture = Fixture.With("Toy", "ToyNewer");
        using PluginCatalog catalog = fixture.Scan();
        Assert.Equal("Toy 1.10.0-beta.1", catalog.Require(StrategyKind.Ordering, "toy-order").Source);
        Assert.True(VersionRequest.TrySplit($"toy-order@{range}", out string id, out VersionRequest? version));
        StrategyDescriptor strategy = catalog.Require(StrategyKind.Ordering, id, version, null);
        Assert.Equal(expected, strategy.Source);
        Assert.Equal(strategy.Plugin!.Manifest!.Version, catalog.Get<IOrderingPrimitive>(id, null, version).GetType().Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0]);
        Assert.NotSame(catalog.Get<IOrderingPrimitive>("toy-order", null, Request("[1.0.0]")), catalog.Get<IOrderingPrimitive>("toy-order"));
    }

    [Fact]
    public void Version_that_is_not_there_is_named_with_those_that_are()
    {
        using Fixture fixture = Fixture.With("Toy");
        using PluginCatalog catalog = fixture.Scan();
        var failure = Assert.Throws<DiagnosticException>(() => catalog.Require(StrategyKind.Ordering, "toy-order", Request("[2.0,3.0)"), "here"));
        Assert.Equal("SP2014", failure.Code);
        Assert.Contains("Toy 1.0.0", failure.Message, StringComparison.Ordinal);
        Assert.False(VersionRequest.TrySplit("toy-order@", out _, out _));
        Assert.False(VersionRequest.TrySplit("toy-order@[1,", out _, out _));
    }

    [Fact]
    public void Code_runs_from_a_copy_that_a_replaced_folder_does_not_reach()
    {
        using Fixture fixture = Fixture.With("LibraryOne");
        string main = Path.Combine(fixture.Root, "LibraryOne", "LibraryOne.dll");
        var shadow = ShadowFolder.Create();
        string location;
        using (PluginCatalog catalog = fixture.Scan(shadow: shadow))
        {
            IOrderingPrimitive ordering = catalog.Get<IOrderingPrimitive>("library-one");
            location = ordering.GetType().Assembly.Location;
            Assert.NotEqual(main, location);
            File.WriteAllBytes(main, new byte[4096]);
            File.Delete(Path.Combine(fixture.Root, "LibraryOne", "ThirdParty.dll"));
            // The library is loaded at its first use, from the copy.
            Assert.Equal("first", ordering.ToString());
        }

        Assert.False(File.Exists(location));
    }

    [Fact]
    public void Plugin_that_changed_since_it_was_examined_is_not_loaded()
    {
        using Fixture fixture = Fixture.With("Toy");
        using PluginCatalog catalog = fixture.Scan(shadow: ShadowFolder.Create());
        File.Copy(Path.Combine(Fixture.Built("ToyNewer"), "ToyNewer.dll"), Path.Combine(fixture.Root, "Toy", "Toy.dll"), overwrite: true);
        Assert.Equal("SP1023", Assert.Throws<DiagnosticException>(() => catalog.Get<IOrderingPrimitive>("toy-order")).Code);
    }

    [Fact]
    public void Copies_of_hosts_that_are_no_more_are_removed()
    {
        string stale = Path.Combine(Path.GetTempPath(), "sphost-plugins-999999999-test"), live = Path.Combine(Path.GetTempPath(), $"sphost-plugins-{Environment.ProcessId}-test");
        Directory.CreateDirectory(stale);
        Directory.CreateDirectory(live);
        try
        {
            ShadowFolder.Create().Dispose();
            Assert.False(Directory.Exists(stale));
            Assert.True(Directory.Exists(live));
        }
        finally
        {
            Directory.Delete(live);
        }
    }

    [Fact]
    public void Only_what_is_on_the_list_is_loaded_when_there_is_a_list()
    {
        using Fixture fixture = Fixture.With("Toy", "LibraryOne");
        string hash;
        using (PluginCatalog any = fixture.Scan()) hash = any.Plugins.Single(plugin => plugin.Name == "Toy").Manifest!.Sha256;
        using PluginCatalog catalog = fixture.Scan(allowed: new HashSet<string> { hash });
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("toy-order"));
        var refused = Assert.Throws<DiagnosticException>(() => catalog.Get<IOrderingPrimitive>("library-one"));
        Assert.Equal("SP1024", refused.Code);
        Assert.Contains(catalog.Plugins.Single(plugin => plugin.Name != "Toy").Manifest!.Sha256, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Configuration_names_versions_and_hashes()
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, $$"""
                {
                  "allowedPlugins": ["{{new string('A', 64)}}"],
                  "pipelines": {
                    "pinned": { "format": "raw", "journal": "ordered", "ordering": { "id": "toy-order@[1.0,2.0)" } },
                    "wrong": { "format": "raw", "journal": "ordered", "ordering": "toy-order@[1.0" }
                  }
                }
                """);
            HostConfiguration configuration = ConfigurationReader.Read(file);
            Assert.Equal("SP2014", Assert.Single(configuration.Problems).Code);
            StrategyUse use = configuration.Pipeline("pinned").Ordering;
            Assert.Equal(("toy-order", "[1.0,2.0)"), (use.Id, use.Version!.Text));
            Assert.Equal(new string('a', 64), Assert.Single(configuration.AllowedPlugins!));
            File.WriteAllText(file, """{ "allowedPlugins": ["abc"] }""");
            Assert.Equal("SP2006", Assert.Single(ConfigurationReader.Read(file).Problems).Code);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static VersionRequest? Request(string range) => VersionRequest.TrySplit($"x@{range}", out _, out VersionRequest? version) ? version : throw new FormatException(range);

    private static (int, int) Counts((IReadOnlyList<PluginEntry> Added, IReadOnlyList<PluginEntry> Removed) change) => (change.Added.Count, change.Removed.Count);
}
