using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using StoragePlugins.Media;
using StoragePlugins.Media.Mapping;

namespace StoragePlugins.Host.Tests.Media.Mapping;

/// <summary>A signal that would end this very process: that the tests go on is half of what they show.</summary>
public sealed unsafe class SigbusTests : IDisposable
{
    private const int MiB = 1 << 20;

    private static int s_signal;
    private static nint s_info, s_context;

    private readonly MappedFile _file = new(MiB);

    public void Dispose() => _file.Dispose();

    [Fact]
    public void Store_beyond_the_end_of_a_file_cut_by_another_process_is_an_error_and_the_process_lives()
    {
        IPersistentMemory memory = _file.Map();
        memory.StoreNonTemporal(MiB - 4096, new byte[4096]);
        _file.CutByAnotherProcess(8192);
        memory.Store(4096, [1, 2, 3]);
        Assert.Throws<StorageException>(() => memory.Store(MiB - 4096, [1]));
        Assert.Throws<StorageException>(memory.ThrowIfLost);
        Assert.Throws<StorageException>(() => memory.Store(0, [1]));
    }

    [Fact]
    public void Non_temporal_store_into_a_cut_file_is_an_error_in_every_page()
    {
        IPersistentMemory memory = _file.Map();
        _file.CutByAnotherProcess(0);
        Assert.Throws<StorageException>(() => memory.StoreNonTemporal(100, new byte[MiB - 200]));
    }

    [Fact]
    public void Bytes_read_from_a_cut_file_are_reported_lost_and_not_taken_for_zeros()
    {
        IPersistentMemory memory = _file.Map();
        memory.StoreNonTemporal(0, Enumerable.Repeat((byte)7, MiB).ToArray());
        _file.CutByAnotherProcess(4096);
        byte[] read = new byte[MiB];
        memory.View(0, MiB).CopyTo(read);
        Assert.Equal(7, read[100]);
        Assert.Throws<StorageException>(memory.ThrowIfLost);
    }

    [Fact]
    public void Fence_and_persist_of_a_lost_mapping_say_that_durability_is_lost()
    {
        IPersistentMemory memory = _file.Map();
        _file.CutByAnotherProcess(0);
        Assert.Throws<DurabilityLostException>(() => memory.Persist(0, 4096));
        Assert.Throws<DurabilityLostException>(memory.Fence);
        Assert.Throws<StorageException>(() => memory.FlushLines(0, 64));
    }

    [Fact]
    public void Mapping_of_another_file_is_not_lost_with_it()
    {
        using var other = new MappedFile(MiB);
        IPersistentMemory lost = _file.Map(), sound = other.Map();
        _file.CutByAnotherProcess(0);
        Assert.Throws<StorageException>(() => lost.Store(0, [1]));
        sound.Store(0, [1]);
        sound.Fence();
    }

    [Fact]
    public void Slot_of_a_lost_mapping_serves_the_next_one_as_new()
    {
        for (int i = 0; i < 3 * MachineCode.Slots; i++)
        {
            using var file = new MappedFile(4096);
            IPersistentMemory memory = file.Map();
            memory.Store(0, [1]);
            if (i % 16 != 0) continue;
            file.CutInThisProcess(0);
            Assert.Throws<StorageException>(() => memory.Store(0, [1]));
        }
    }

    [Fact]
    public void Many_threads_that_fault_at_once_all_learn_of_it()
    {
        IPersistentMemory memory = _file.Map();
        _file.CutByAnotherProcess(0);
        int learned = 0;
        Parallel.For(0, 256, page =>
        {
            try
            {
                memory.Store(page * 4096L, [1]);
            }
            catch (StorageException)
            {
                Interlocked.Increment(ref learned);
            }
        });
        Assert.Equal(256, learned);
    }

    [Theory]
    [InlineData(0x5000, 2)]
    [InlineData(0x7fff, 2)]
    [InlineData(0x10_8000, 2)]
    [InlineData(0x6000, 0)]
    [InlineData(0x6000, -6)]
    public void Signal_that_is_not_ours_reaches_the_handler_before_us_with_all_its_arguments(long address, int code)
    {
        // The range is 0x8000 to 0x108000 of nowhere; codes that are not positive come from kill(2), whatever else they carry.
        MachineCode.Slot* table = Table(code > 0 ? 0x8000 : 0x1000, 0x10_8000, 4096);
        MachineCode.Entries entries = MachineCode.Emit(table, (nint)(delegate* unmanaged<int, nint, nint, void>)&Note);
        long* info = stackalloc long[16];
        ((int*)info)[2] = code;
        info[2] = (nint)address;
        s_signal = 0;
        ((delegate* unmanaged<int, nint, nint, void>)entries.Handler)(7, (nint)info, 0x1234);
        Assert.Equal((7, (nint)info, 0x1234), (s_signal, s_info, s_context));
        Assert.Equal(0, table->Lost);
    }

    [Fact]
    public void Fault_in_a_range_is_answered_by_one_page_of_zeros_of_the_mappings_own_size()
    {
        const int pages = 8, pageBytes = 8192;
        nint memory = MappingCalls.MapMemory(0, pages * pageBytes + pageBytes, 3, MappingCalls.MapPrivate | MappingCalls.MapAnonymous, -1, 0);
        nint start = (memory + pageBytes - 1) & -pageBytes;
        new Span<byte>((void*)start, pages * pageBytes).Fill(9);
        MachineCode.Slot* table = Table(start, start + pages * pageBytes, pageBytes);
        MachineCode.Entries entries = MachineCode.Emit(table, (nint)(delegate* unmanaged<int, nint, nint, void>)&Note);
        long* info = stackalloc long[16];
        ((int*)info)[2] = 2;
        info[2] = start + (2 * pageBytes) + 5000;
        s_signal = 0;
        ((delegate* unmanaged<int, nint, nint, void>)entries.Handler)(7, (nint)info, 0);
        Assert.Equal(0, s_signal);
        Assert.Equal(1, (table + MachineCode.Slots - 1)->Lost);
        for (int page = 0; page < pages; page++)
            Assert.Equal(page == 2 ? 0 : 9, new Span<byte>((void*)(start + (page * pageBytes)), pageBytes).ToArray().Distinct().Single());
        Assert.Equal(0, MappingCalls.Unmap(memory, pages * pageBytes + pageBytes));
    }

    [Fact]
    public void Handler_whose_replacement_page_is_refused_goes_on_to_the_one_before()
    {
        // Not a user address: mmap fails.
        nint start = unchecked((nint)0xffff_8000_0000_0000);
        MachineCode.Slot* table = Table(start, start + 4096, 4096);
        MachineCode.Entries entries = MachineCode.Emit(table, (nint)(delegate* unmanaged<int, nint, nint, void>)&Note);
        long* info = stackalloc long[16];
        ((int*)info)[2] = 2;
        info[2] = start;
        s_signal = 0;
        ((delegate* unmanaged<int, nint, nint, void>)entries.Handler)(7, (nint)info, 77);
        Assert.Equal((7, (nint)info, 77), (s_signal, s_info, s_context));
    }

    // The last slot, so that the search goes through all of them.
    private static MachineCode.Slot* Table(nint start, nint end, nint pageBytes)
    {
        var table = (MachineCode.Slot*)NativeMemory.AllocZeroed(MachineCode.Slots, (nuint)sizeof(MachineCode.Slot));
        table[MachineCode.Slots - 1] = new MachineCode.Slot { Start = start, End = end, PageBytes = pageBytes };
        return table;
    }

    [UnmanagedCallersOnly]
    private static void Note(int signal, nint info, nint context) => (s_signal, s_info, s_context) = (signal, info, context);
}
