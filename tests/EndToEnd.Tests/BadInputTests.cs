using System.Buffers.Binary;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Images that cannot be served: one line says why, and the file is as before.</summary>
public sealed class BadInputTests : Scratch
{
    private const long RefcountTable = 0x10000, RefcountBlock = 0x20000, L1 = 0x30000, L2 = 0x40000;
    private const ulong Copied = 1UL << 63;

    /// <summary>What to write where into an image that qemu-img made, and the code that must come of it.</summary>
    private static readonly Dictionary<string, (long Offset, int Bytes, ulong Value, string Code)> s_damages = new()
    {
        ["version 4"] = (4, 4, 4, "SP3002"),
        ["clusters of 256 bytes"] = (20, 4, 8, "SP3004"),
        ["clusters of 4 MiB"] = (20, 4, 22, "SP3004"),
        ["clusters of 2^255 bytes"] = (20, 4, 255, "SP3004"),
        ["a size of 2^63"] = (24, 8, 1UL << 63, "SP3004"),
        ["a size beyond what its L1 table maps"] = (24, 8, 1UL << 40, "SP3004"),
        ["an unknown encryption"] = (32, 4, 7, "SP3004"),
        ["an L1 table of 16 GiB"] = (36, 4, 0x7fffffff, "SP3004"),
        ["an L1 table too short for the size"] = (36, 4, 0, "SP3004"),
        ["a misaligned L1 table"] = (40, 8, L1 + 512, "SP3004"),
        ["an L1 table out of the file"] = (40, 8, 1UL << 40, "SP3004"),
        ["an L1 table over the header"] = (40, 8, 0, "SP3004"),
        ["an L1 table over the refcount table"] = (40, 8, RefcountTable, "SP3004"),
        ["an L1 table over a refcount block"] = (40, 8, RefcountBlock, "SP3005"),
        ["a misaligned refcount table"] = (48, 8, RefcountTable + 8, "SP3004"),
        ["a refcount table out of the file"] = (48, 8, 1UL << 50, "SP3004"),
        ["a refcount table over the header"] = (48, 8, 0, "SP3004"),
        ["a refcount table of 4 billion clusters"] = (56, 4, 0xffffffff, "SP3004"),
        ["no refcount table"] = (56, 4, 0, "SP3004"),
        ["4 billion snapshots"] = (60, 4, 0xffffffff, "SP3004"),
        ["an unknown feature"] = (72, 8, 1UL << 40, "SP3003"),
        ["an external data file"] = (72, 8, 1 << 2, "SP3003"),
        ["extended L2 entries"] = (72, 8, 1 << 4, "SP3003"),
        ["a compression type without its feature"] = (104, 1, 1, "SP3004"),
        ["the corrupt mark"] = (72, 8, 2, "SP3006"),
        ["refcounts of 128 bits"] = (96, 4, 7, "SP3004"),
        ["a header of 4 GiB"] = (100, 4, 0xffffffff, "SP3004"),
        ["a header of 100 bytes"] = (100, 4, 100, "SP3004"),
        ["a header extension of 4 GiB"] = (116, 4, 0xffffffff, "SP3004"),
        ["an L1 entry to its own table"] = (L1, 8, L1 | Copied, "SP3005"),
        ["an L1 entry to the refcount table"] = (L1, 8, RefcountTable | Copied, "SP3005"),
        ["an L1 entry to a refcount block"] = (L1, 8, RefcountBlock | Copied, "SP3005"),
        ["an L1 entry to another one's L2 table"] = (L1 + 8, 8, L2 | Copied, "SP3005"),
        ["a misaligned L1 entry"] = (L1, 8, (L2 + 512) | Copied, "SP3005"),
        ["an L1 entry out of the file"] = (L1, 8, (1UL << 45) | Copied, "SP3005"),
        ["an L1 entry with reserved bits"] = (L1, 8, L2 | Copied | (1UL << 60), "SP3005"),
        ["a refcount table entry to itself"] = (RefcountTable, 8, RefcountTable, "SP3005"),
        ["a refcount table entry to the L1 table"] = (RefcountTable, 8, L1, "SP3005"),
        ["a misaligned refcount table entry"] = (RefcountTable, 8, RefcountBlock + 512, "SP3005"),
        ["a refcount table entry out of the file"] = (RefcountTable + 8, 8, 1UL << 45, "SP3005"),
        ["two refcount table entries to one block"] = (RefcountTable + 8, 8, RefcountBlock, "SP3005"),
    };

    private readonly string _image;

    public BadInputTests() => _image = PathOf("disk.qcow2");

    public static TheoryData<string> Damages => [.. s_damages.Keys];

    [Theory]
    [MemberData(nameof(Damages))]
    public void A_damaged_image_is_refused_and_stays_as_it_is(string damage)
    {
        MakeGood("1G");
        (long offset, int bytes, ulong value, string code) = s_damages[damage];
        Patch(offset, bytes, value);
        RequireRefused(code);
    }

    [Fact]
    public void A_backing_files_name_that_is_too_long_is_refused()
    {
        MakeGood("1G");
        Patch(8, 8, 0x200);
        Patch(16, 4, 5000);
        RequireRefused("SP3004");
    }

    [Fact]
    public void A_snapshot_table_out_of_the_file_is_refused()
    {
        MakeGood("1G");
        Patch(60, 4, 1);
        Patch(64, 8, 1UL << 48);
        RequireRefused("SP3004");
    }

    [Theory]
    [InlineData(50, "SP3001")]
    [InlineData(80, "SP3004")]
    [InlineData(0x18000, "SP3004")]
    [InlineData(0x28000, "SP3004")]
    [InlineData(0x30000, "SP3004")]
    [InlineData(0x48000, "SP3005")]
    public void A_truncated_image_is_refused(long length, string code)
    {
        MakeGood("1G");
        using (FileStream file = File.OpenWrite(_image)) file.SetLength(length);
        RequireRefused(code);
    }

    /// <summary>A bit that other programs set and that our first write must clear: not before the image is known to be one that we can write.</summary>
    [Fact]
    public void A_refused_image_keeps_its_autoclear_bits()
    {
        MakeGood("1G");
        Patch(88, 8, 1);
        Patch(L1, 8, L1 | Copied);
        RequireRefused("SP3005");
    }

    [Theory]
    [InlineData("0x10000")]
    [InlineData("0x20000")]
    [InlineData("0x30000")]
    [InlineData("0x40000")]
    [InlineData("0x0")]
    public void A_mapping_into_metadata_never_lets_a_guest_write_there(string target)
    {
        MakeGood("1G");
        Patch(L2, 8, Convert.ToUInt64(target, 16) | Copied);
        byte[] metadata = File.ReadAllBytes(_image)[..(int)L2];
        using (SphostProcess sphost = SphostProcess.Serve(Folder, _image))
        {
            ToolResult refused = Tool.Run("qemu-io", "-f", "raw", "-c", "write -P 66 0 64k", sphost.Uri());
            Assert.Contains("write failed: Input/output error", refused.Text, StringComparison.Ordinal);
            Qemu.Io("raw", sphost.Uri(), "read -P 1 64k 64k", "write -P 2 64k 64k", "flush", "read -P 2 64k 64k");
            sphost.Close();
        }

        Assert.True(metadata.AsSpan(0, (int)L1).SequenceEqual(File.ReadAllBytes(_image).AsSpan(0, (int)L1)), "metadata was written");
    }

    [Fact]
    public void Encrypted_images_are_refused_by_name()
    {
        string[] secret = ["--object", "secret,id=s,data=x"];
        Qemu.Img(["create", "-q", "-f", "qcow2", .. secret, "-o", "encrypt.format=aes,encrypt.key-secret=s", _image, "1M"]);
        Assert.Contains("encrypted (AES)", RequireRefused("SP3003").Errors, StringComparison.Ordinal);

        // qemu-img measures the CPU to choose LUKS's iterations, which fails now and then on virtual machines.
        for (int attempt = 0; ; attempt++)
        {
            File.Delete(_image);
            ToolResult made = Tool.Run("qemu-img", ["create", "-q", "-f", "qcow2", .. secret, "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", _image, "1M"]);
            if (made.ExitCode == 0) break;
            Assert.True(attempt < 20 && made.Errors.Contains("accurate CPU usage", StringComparison.Ordinal), made.Text);
        }

        Assert.Contains("encrypted (LUKS)", RequireRefused("SP3003").Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("data_file=external.data", "external data file")]
    [InlineData("extended_l2=on", "extended L2")]
    public void Features_that_are_not_supported_are_refused_by_name(string option, string name)
    {
        Tool.RunIn(Folder, null, "qemu-img", "create", "-q", "-f", "qcow2", "-o", option, _image, "16M").Expect(0);
        Assert.Contains(name, RequireRefused("SP3003").Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_backing_chain_that_loops_is_refused()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "16M");
        Qemu.Img("create", "-q", "-f", "qcow2", "-b", _image, "-F", "qcow2", PathOf("top.qcow2"));
        Qemu.Img("rebase", "-u", "-f", "qcow2", "-b", "top.qcow2", "-F", "qcow2", _image);
        RequireRefused("SP3802");
    }

    [Fact]
    public void An_image_that_backs_itself_is_refused()
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, "16M");
        Qemu.Img("rebase", "-u", "-f", "qcow2", "-b", _image, "-F", "qcow2", _image);
        RequireRefused("SP3802");
    }

    [Theory]
    [InlineData("gone.raw", "SP3807")]
    [InlineData("nbd://127.0.0.1:1/x", "SP3804")]
    [InlineData("json:{\\\"driver\\\":\\\"raw\\\"}", "SP3804")]
    public void A_backing_file_that_cannot_be_read_is_named(string backing, string code)
    {
        Qemu.Img("create", "-q", "-f", "qcow2", "-u", "-b", backing.Replace("\\", "", StringComparison.Ordinal), "-F", "raw", _image, "16M");
        RequireRefused(code);
    }

    private ToolResult RequireRefused(string code)
    {
        string hash = Bytes.Hash(_image);
        ToolResult result = Tool.Sphost("serve", _image, "--socket", PathOf("refused.sock")).ExpectError(code);
        Assert.DoesNotContain("   at ", result.Text, StringComparison.Ordinal);
        Assert.Equal(hash, Bytes.Hash(_image));
        Assert.False(File.Exists(PathOf("refused.sock")));
        return result;
    }

    /// <summary>An image with the usual layout of qemu-img and two clusters and a bit of data.</summary>
    private void MakeGood(string size)
    {
        Qemu.Img("create", "-q", "-f", "qcow2", _image, size);
        Qemu.Io("qcow2", _image, "write -P 1 0 192k");
        Assert.Equal(L2 | Copied, BinaryPrimitives.ReadUInt64BigEndian(File.ReadAllBytes(_image).AsSpan((int)L1)));
    }

    private void Patch(long offset, int bytes, ulong value)
    {
        byte[] field = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(field, value);
        using FileStream file = File.OpenWrite(_image);
        file.Position = offset;
        file.Write(field.AsSpan(8 - bytes));
    }
}
