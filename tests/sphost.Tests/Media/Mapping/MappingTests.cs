using System.Globalization;
using StoragePlugins.Media;
using StoragePlugins.Media.Mapping;

namespace StoragePlugins.Host.Tests.Media.Mapping;

public sealed class MappingTests : IDisposable
{
    private readonly MappedFile _memory = new(1 << 20);
    private readonly MappedFile _disk = new(1 << 20, folder: null);

    public void Dispose()
    {
        _memory.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void File_in_ordinary_memory_is_refused_unless_the_configuration_says_emulated()
    {
        Assert.Equal("SP5021", Assert.Throws<DiagnosticException>(() => _memory.Map(emulated: false)).Code);
        Assert.Equal("SP5021", Assert.Throws<DiagnosticException>(() => _memory.Map(PersistenceDomain.Msync, emulated: false)).Code);
        IPersistentMemory emulated = _memory.Map();
        Assert.True(emulated.IsEmulated);
        Assert.Equal(PersistenceDomain.Adr, emulated.Domain);
    }

    [Theory]
    [InlineData(PersistenceDomain.Adr)]
    [InlineData(PersistenceDomain.Eadr)]
    public void Domain_stronger_than_the_mapping_gives_is_refused(PersistenceDomain domain)
    {
        DiagnosticException refused = Assert.Throws<DiagnosticException>(() => _disk.Map(domain, emulated: false));
        Assert.Equal("SP5022", refused.Code);
        Assert.Equal((domain.ToString().ToLowerInvariant(), "msync"), (refused.Expected, refused.Found));
        Assert.True(_disk.Map(domain, emulated: true).IsEmulated);
    }

    [Fact]
    public void File_on_a_disk_is_durable_by_msync_and_each_one_is_counted()
    {
        IPersistentMemory memory = _disk.Map(emulated: false);
        Assert.Equal(PersistenceDomain.Msync, memory.Domain);
        Assert.False(memory.IsEmulated);
        memory.StoreNonTemporal(5000, [1, 2, 3]);
        memory.Fence();
        Assert.Equal(0, _disk.Meter.Read().HostFlushes);
        memory.Persist(5000, 3);
        Assert.Equal(1, _disk.Meter.Read().HostFlushes);
        Assert.Equal([1, 2, 3], File.ReadAllBytes(_disk.Path)[5000..5003]);
    }

    [Fact]
    public void Fence_is_no_host_flush()
    {
        IPersistentMemory memory = _memory.Map();
        memory.StoreNonTemporal(0, new byte[4096]);
        memory.Fence();
        memory.Persist(0, 4096);
        Assert.Equal(0, _memory.Meter.Read().HostFlushes);
    }

    [Theory]
    [InlineData(PersistenceDomain.None)]
    [InlineData(PersistenceDomain.Msync)]
    [InlineData(PersistenceDomain.Adr)]
    [InlineData(PersistenceDomain.Eadr)]
    public void Stores_of_any_alignment_and_length_change_their_range_and_nothing_else(PersistenceDomain domain)
    {
        IPersistentMemory memory = _memory.Map(domain);
        byte[] expected = new byte[4096];
        var random = new Random(1);
        for (int i = 0; i < 20_000; i++)
        {
            int offset = random.Next(expected.Length), length = random.Next(Math.Min(400, expected.Length - offset) + 1);
            byte[] data = new byte[length];
            random.NextBytes(data);
            data.CopyTo(expected, offset);
            if (i % 2 == 0) memory.Store(offset, data);
            else memory.StoreNonTemporal(offset, data);
            memory.FlushLines(offset, length);
            if (i % 100 != 0) continue;
            memory.Persist(offset, length);
            Assert.Equal(expected, memory.View(0, expected.Length).ToArray());
        }

        Assert.Equal(expected, File.ReadAllBytes(_memory.Path)[..expected.Length]);
    }

    [Fact]
    public void Access_outside_the_medium_is_an_error_before_it_is_a_signal()
    {
        IPersistentMemory memory = _memory.Map(capacity: 8 << 20);
        Assert.Equal(1 << 20, memory.Length);
        Assert.Throws<StorageException>(() => memory.Store(1 << 20, [1]));
        Assert.Throws<StorageException>(() => memory.View((1 << 20) - 1, 2).Length);
        Assert.Throws<StorageException>(() => memory.View(-1, 1).Length);
        memory.ThrowIfLost();
        _memory.Medium.SetLength(8 << 20);
        memory.Store((8 << 20) - 1, [1]);
    }

    [Fact]
    public void Mapping_ends_with_its_medium()
    {
        IPersistentMemory memory = _memory.Map();
        _memory.Medium.Dispose();
        Assert.Throws<ObjectDisposedException>(() => memory.View(0, 1).Length);
        Assert.Throws<ObjectDisposedException>(() => memory.Store(0, [1]));
    }

    [Fact]
    public void Mapping_of_a_medium_opened_for_reading_refuses_stores()
    {
        using FileMedium medium = _memory.Open(readOnly: true);
        IPersistentMemory memory = medium.Map(new MappingRequest { Emulated = true });
        Assert.Equal(0, memory.View(0, 1)[0]);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => memory.Store(0, [1])).Error);
        Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(() => memory.StoreNonTemporal(0, [1])).Error);
    }

    [Fact]
    public void Empty_file_cannot_be_mapped()
    {
        using var empty = new MappedFile(0);
        Assert.Equal("SP5023", Assert.Throws<DiagnosticException>(() => empty.Map()).Code);
    }

    [Fact]
    public void Dax_device_is_described_by_sysfs_and_its_region_says_whether_caches_are_flushed()
    {
        // The shape of /sys for /dev/dax0.0 of an NVDIMM: a link into the device tree, the region two levels above.
        string sys = Directory.CreateTempSubdirectory("sp-sys-").FullName;
        string node = Path.Combine(sys, "devices", "region0", "dax0.0", "dax", "dax0.0");
        Directory.CreateDirectory(node);
        Directory.CreateDirectory(Path.Combine(sys, "dev", "char"));
        Directory.CreateSymbolicLink(Path.Combine(sys, "dev", "char", "252:3"), node);
        File.WriteAllText(Path.Combine(node, "size"), "4225761280\n");
        File.WriteAllText(Path.Combine(node, "align"), "2097152\n");
        const ulong device = (252UL << 32) | 3;
        Assert.Equal((4225761280, 2097152), DaxDevice.Describe(device, sys));
        Assert.Null(DaxDevice.Describe((1UL << 32) | 3, sys));
        Assert.False(DaxDevice.FlushesCaches(device, isCharacterDevice: true, sys));
        foreach ((string text, bool flushes) in new[] { ("cpu_cache", true), ("memory_controller", false), ("", false) })
        {
            File.WriteAllText(Path.Combine(sys, "devices", "region0", "persistence_domain"), text.ToString(CultureInfo.InvariantCulture) + "\n");
            Assert.Equal(flushes, DaxDevice.FlushesCaches(device, isCharacterDevice: true, sys));
        }

        Directory.Delete(sys, recursive: true);
    }
}
