using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using StoragePlugins.BarrierFS.Kernel;

namespace StoragePlugins.BarrierFS.Tests;

public sealed class KernelModeTests : IDisposable
{
    private const int Number = 315;
    private readonly SafeFileHandle _file = File.OpenHandle("/dev/null");

    private string OnNothing => $"{Number}(-1, 0, 0, 0, 0, 0)";

    private string OnFile => $"{Number}(file {_file.DangerousGetHandle()}, 0, 0, 0, 0, 0)";

    public void Dispose() => _file.Dispose();

    [Fact]
    public void Barrier_is_the_configured_number_with_all_six_registers_set_and_flush_stays_fdatasync()
    {
        var kernel = new FakeKernel();
        CapableMedium medium = Medium();
        var meter = new StorageMeter();
        IOrderedMedium ordered = Attach.With(medium, BarrierMode.Kernel, Number, kernel, meter);
        Assert.Equal([OnNothing, OnFile], kernel.Calls);
        kernel.Order = medium.Log;
        ordered.Write(0, new byte[8], ContentClass.GuestData);
        ordered.Barrier();
        ordered.Write(8, new byte[8], ContentClass.Map);
        ordered.Flush();
        Assert.Equal([OnNothing, OnFile, OnFile], kernel.Calls);
        Assert.Equal(["write 0+8 GuestData", "fdatabarrier", "write 8+8 Map", "fdatasync"], medium.Log);
        Assert.Equal(1, meter.Read().Barriers);
    }

    [Fact]
    public void Another_configured_number_is_the_one_that_is_called()
    {
        var kernel = new FakeKernel();
        Attach.With(Medium(), BarrierMode.Auto, 549, kernel).Barrier();
        Assert.Equal(3, kernel.Calls.Count);
        Assert.All(kernel.Calls, call => Assert.StartsWith("549(", call, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(false, "3.10.61", "sys_fdatabarrier", "not Linux on x86-64")]
    [InlineData(true, "6.18.44", "sys_fdatabarrier", "6.18.44")]
    [InlineData(true, "3.1.10", "sys_fdatabarrier", "3.1.10")]
    [InlineData(true, "3.100.1", "sys_fdatabarrier", "3.100.1")]
    [InlineData(true, "", "sys_fdatabarrier", "unknown")]
    [InlineData(true, "3.10.61", "sys_fdatasync", "no sys_fdatabarrier in /proc/kallsyms")]
    public void On_an_unidentified_kernel_no_number_is_called_at_all(bool isX64, string release, string symbol, string reason)
    {
        FakeKernel Unidentified() => new() { IsLinuxX64 = isX64, Release = release, Symbols = [symbol] };
        FakeKernel kernel = Unidentified();
        var refusal = Assert.Throws<DiagnosticException>(() => Attach.With(Medium(), BarrierMode.Kernel, Number, kernel));
        Assert.Equal("SP5030", refusal.Code);
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        Assert.Empty(kernel.Calls);

        FakeKernel again = Unidentified();
        var log = new ListLogger();
        using IOrderedMedium ordered = Attach.With(Medium(), BarrierMode.Auto, Number, again, logger: log);
        ordered.Write(0, new byte[8], ContentClass.GuestData);
        ordered.Barrier();
        ordered.Flush();
        Assert.Empty(again.Calls);
        Assert.Contains("mode deferred", Assert.Single(log.Lines), StringComparison.Ordinal);
        Assert.Contains(reason, log.Lines[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, SyscallResult.EInval, "EINVAL")]
    [InlineData(-1, SyscallResult.ENoSys, "ENOSYS")]
    [InlineData(-1, 5, "errno 5 (Input/output error)")]
    [InlineData(0, 0, "gives 0,")]
    public void Anything_but_EBADF_for_no_file_is_another_call_and_nothing_but_this_probe_is_called(int value, int errno, string answer)
    {
        FakeKernel Other() => new() { Probe = new SyscallResult(value, errno) };
        FakeKernel kernel = Other();
        var refusal = Assert.Throws<DiagnosticException>(() => Attach.With(Medium(), BarrierMode.Kernel, Number, kernel));
        Assert.Equal("SP5030", refusal.Code);
        Assert.Contains(answer, refusal.Message, StringComparison.Ordinal);
        Assert.Equal([OnNothing], kernel.Calls);

        FakeKernel again = Other();
        using IOrderedMedium ordered = Attach.With(Medium(), BarrierMode.Auto, Number, again);
        ordered.Barrier();
        ordered.Flush();
        Assert.Equal([OnNothing], again.Calls);
    }

    [Theory]
    [InlineData(SyscallResult.EInval, "EINVAL")]
    [InlineData(5, "Input/output error")]
    public void File_that_has_no_barrier_is_refused_by_name_and_deferred_in_auto(int errno, string answer)
    {
        FakeKernel Refusing()
        {
            var kernel = new FakeKernel();
            kernel.Answers.Clear();
            kernel.Answers.Enqueue(new SyscallResult(-1, errno));
            return kernel;
        }

        var refusal = Assert.Throws<DiagnosticException>(() => Attach.With(Medium(), BarrierMode.Kernel, Number, Refusing()));
        Assert.Equal("SP5031", refusal.Code);
        Assert.Contains(answer, refusal.Message, StringComparison.Ordinal);
        FakeKernel kernel = Refusing();
        using IOrderedMedium ordered = Attach.With(Medium(), BarrierMode.Auto, Number, kernel);
        ordered.Write(0, new byte[8], ContentClass.GuestData);
        ordered.Barrier();
        ordered.Flush();
        Assert.Equal([OnNothing, OnFile], kernel.Calls);
    }

    [Fact]
    public void Medium_without_a_file_is_refused()
        => Assert.Equal("SP5031", Assert.Throws<DiagnosticException>(() => Attach.With(new CapableMedium(), BarrierMode.Kernel, Number, new FakeKernel())).Code);

    [Fact]
    public void Without_a_configured_number_none_is_guessed_even_on_a_BarrierFS_kernel()
    {
        var kernel = new FakeKernel();
        Assert.Equal("SP5033", Assert.Throws<DiagnosticException>(() => Attach.With(Medium(), BarrierMode.Kernel, null, kernel)).Code);
        using IOrderedMedium ordered = Attach.With(Medium(), BarrierMode.Auto, null, kernel);
        ordered.Barrier();
        Assert.Empty(kernel.Calls);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(74)]
    [InlineData(313)]
    [InlineData(316)]
    [InlineData(512)]
    [InlineData(547)]
    [InlineData(1024)]
    public void Number_of_another_call_is_never_called_not_even_on_a_BarrierFS_kernel(int number)
    {
        var kernel = new FakeKernel();
        Assert.Equal("SP5030", Assert.Throws<DiagnosticException>(() => Attach.With(Medium(), BarrierMode.Kernel, number, kernel)).Code);
        Assert.Empty(kernel.Calls);
    }

    [Theory]
    [InlineData(-1, 5)]
    [InlineData(-1, SyscallResult.EInval)]
    [InlineData(-1, SyscallResult.ENoSys)]
    [InlineData(-1, SyscallResult.EBadF)]
    [InlineData(1, 0)]
    public void Barrier_that_returns_anything_but_0_poisons_and_is_never_repeated(int value, int errno)
    {
        var kernel = new FakeKernel();
        kernel.Answers.Enqueue(new SyscallResult(value, errno));
        CapableMedium medium = Medium();
        IOrderedMedium ordered = Attach.With(medium, BarrierMode.Kernel, Number, kernel);
        ordered.Write(0, [1, 2, 3], ContentClass.GuestData);
        Assert.Throws<DurabilityLostException>(ordered.Barrier);
        int calls = kernel.Calls.Count;
        Assert.Throws<DurabilityLostException>(ordered.Barrier);
        Assert.Throws<DurabilityLostException>(ordered.Flush);
        Assert.Throws<DurabilityLostException>(() => ordered.Write(0, [9], ContentClass.GuestData));
        Assert.Throws<DurabilityLostException>(() => ordered.SetLength(0));
        Assert.Throws<DurabilityLostException>(() => ordered.GetCapability<IDeallocatingMedium>()!.TryPunchHole(0, 1));
        Assert.Equal(calls, kernel.Calls.Count);
        Assert.Equal(["write 0+3 GuestData"], medium.Log);
        byte[] read = new byte[3];
        Assert.Equal(3, ordered.Read(0, read));
        Assert.Equal([1, 2, 3], read);
    }

    [Fact]
    public void Failed_fdatasync_after_barriers_that_returned_0_is_final()
    {
        CapableMedium medium = Medium();
        IOrderedMedium ordered = Attach.With(medium, BarrierMode.Kernel, Number, new FakeKernel());
        medium.Before = operation =>
        {
            if (operation == "fdatasync") throw new StorageException(StorageError.Io, operation, "memory", -1, 0, "Input/output error");
        };
        ordered.Write(0, [1], ContentClass.GuestData);
        ordered.Barrier();
        Assert.Throws<DurabilityLostException>(ordered.Flush);
        Assert.Throws<DurabilityLostException>(ordered.Barrier);
        Assert.DoesNotContain("fdatasync", medium.Log);
    }

    [Fact]
    public async Task Writes_barriers_and_flushes_of_many_threads_reach_the_kernel_one_at_a_time()
    {
        int inside = 0, most = 0;
        CapableMedium medium = Medium();
        medium.Before = _ =>
        {
            most = Math.Max(most, Interlocked.Increment(ref inside));
            Thread.SpinWait(2000);
            Interlocked.Decrement(ref inside);
        };
        IOrderedMedium ordered = Attach.With(medium, BarrierMode.Kernel, Number, new FakeKernel());
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            for (int i = 0; i < 200; i++)
            {
                ordered.Write(thread * 16, new byte[16], ContentClass.GuestData);
                if (i % 10 == 0) ordered.GetCapability<IDeallocatingMedium>()!.TryZeroRange(thread * 16, 8);
                if (i % 5 == 0) ordered.Barrier();
                if (i % 20 == 0) ordered.Flush();
            }
        })));
        Assert.Equal(1, most);
    }

    [Fact]
    public void Nobody_gets_the_descriptor_past_the_one_submitter()
    {
        IOrderedMedium ordered = Attach.With(Medium(), BarrierMode.Kernel, Number, new FakeKernel());
        Assert.Null(ordered.GetCapability<IFileMedium>());
        Assert.Null(ordered.GetCapability<IFlushableMedium>());
        Assert.NotNull(ordered.GetCapability<INonBlockingMedium>());
    }

    [Fact]
    public void Real_system_call_passes_six_registers_and_errno()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64) return;
        const int mmap = 9, munmap = 11, close = 3, page = 4096, read = 1, shared = 1;
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, [.. Enumerable.Repeat((byte)1, page), .. Enumerable.Repeat((byte)2, page)]);
            using SafeFileHandle file = File.OpenHandle(path);
            var kernel = new LinuxKernel();
            // The second page of the file: wrong length, protection, flags, descriptor or offset each give something else.
            SyscallResult mapped = kernel.Call(mmap, 0, page, read, shared, file.DangerousGetHandle(), page);
            Assert.NotEqual(-1, mapped.Value);
            byte[] bytes = new byte[page];
            Marshal.Copy(mapped.Value, bytes, 0, page);
            Assert.All(bytes, value => Assert.Equal(2, value));
            Assert.Equal(new SyscallResult(0, 0), kernel.Call(munmap, mapped.Value, page, 0, 0, 0, 0));
            Assert.Equal(new SyscallResult(-1, SyscallResult.EBadF), kernel.Call(close, -1, 0, 0, 0, 0, 0));
            Assert.Equal(new SyscallResult(-1, SyscallResult.ENoSys), kernel.Call(1023, file, 0, 0, 0, 0, 0));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Running_kernel_is_asked_for_its_release_and_its_symbols()
    {
        var kernel = new LinuxKernel();
        Assert.Equal(File.ReadAllText("/proc/sys/kernel/osrelease").Trim(), kernel.Release);
        Assert.False(kernel.HasSymbol("sys_fdatabarrier"));
        Assert.False(kernel.HasSymbol("no_such_function"));
        string? known = File.ReadLines("/proc/kallsyms").Select(line => line.Split(' ')).FirstOrDefault(parts => parts is [_, "T", _])?[2];
        Assert.True(known is null || kernel.HasSymbol(known), known);
        Assert.False(known is not null && kernel.HasSymbol(known[1..]) && !File.ReadLines("/proc/kallsyms").Any(line => line.EndsWith(' ' + known[1..], StringComparison.Ordinal)));
    }

    private CapableMedium Medium() => new() { File = _file, Cache = WriteCacheKind.Volatile };
}
