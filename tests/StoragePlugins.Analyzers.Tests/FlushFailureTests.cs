namespace StoragePlugins.Analyzers.Tests;

public sealed class FlushFailureTests
{
    [Theory]
    [InlineData("try { [|flushable.FlushData()|]; } catch { }")]
    [InlineData("try { [|flushable.FlushAll()|]; } catch (Exception e) { logger.LogError(e, \"lost\"); }")]
    [InlineData("try { [|flushable.FlushData()|]; } catch (StorageException e) { Console.WriteLine(e); }")]
    [InlineData("try { [|flushable.FlushData()|]; } catch (DurabilityLostException) { }")]
    [InlineData("try { [|flushable.FlushData()|]; } catch (StorageException e) when (e is not DurabilityLostException) { }")]
    [InlineData("try { [|flushable.FlushData()|]; } catch (StorageException e) when (e.Error == StorageError.NoSpace) { }")]
    [InlineData("try { [|flushable.FlushData()|]; } catch (StorageException e) { if (e.Error == StorageError.NoSpace) return false; throw; }")]
    [InlineData("try { [|ordered.Flush()|]; } catch (IOException) { return false; }")]
    [InlineData("try { [|ordered.Barrier()|]; } catch (StorageException) { }")]
    [InlineData("try { [|barrier.Barrier()|]; } catch (Exception) { }")]
    [InlineData("try { [|disk.Flush()|]; } catch (DurabilityLostException) { }")]
    [InlineData("try { [|memory.Persist(0, 64)|]; } catch (Exception e) { logger.LogWarning(\"{Reason}\", e.Message); }")]
    [InlineData("try { [|memory.Fence()|]; } catch { return false; }")]
    [InlineData("try { [|RandomAccess.FlushToDisk(file.SafeFileHandle)|]; } catch (IOException) { }")]
    [InlineData("try { [|file.Flush(flushToDisk: true)|]; } catch (Exception) { }")]
    [InlineData("try { try { [|ordered.Flush()|]; } catch (StorageException) { throw; } } catch (Exception) { }")]
    [InlineData("try { try { [|ordered.Flush()|]; } finally { _flushes++; } } catch (Exception) { _flushes--; }")]
    [InlineData("try { foreach (byte each in new byte[3]) [|ordered.Flush()|]; } catch (Exception) { }")]
    [InlineData("try { lock (ordered) { [|ordered.Flush()|]; } } catch (ArgumentException) { throw; } catch (Exception) { _isLost = false; }")]
    [InlineData("Exception? kept; try { [|ordered.Flush()|]; } catch (Exception e) { string text = e.Message; kept = null; }")]
    public Task A_swallowed_failure_is_told(string body) => ExpectAsync("SP9106", body);

    [Theory]
    [InlineData("for (int i = 0; i < 3; i++) { try { [|ordered.Flush()|]; return true; } catch (StorageException) { Thread.Sleep(10); } }")]
    [InlineData("for (int i = 0; i < 3; i++) { try { [|ordered.Flush()|]; return true; } catch (StorageException e) { _failure = e; } } throw _failure!;")]
    [InlineData("Exception? last = null; while (_flushes++ < 3) { try { [|ordered.Flush()|]; break; } catch (Exception e) { last = e; } } if (last is not null) throw last;")]
    [InlineData("int tries = 0; while (true) { try { [|flushable.FlushData()|]; break; } catch (StorageException) { if (++tries > 3) throw; } }")]
    [InlineData("int tries = 0; do { try { [|flushable.FlushData()|]; return true; } catch (StorageException) when (tries < 3) { continue; } } while (tries++ < 3);")]
    [InlineData("bool done = false; Exception? last; while (!done) { try { [|RandomAccess.FlushToDisk(file.SafeFileHandle)|]; done = true; } catch (IOException e) { last = e; } }")]
    [InlineData("while ([|fdatasync(3)|] != 0) { }")]
    [InlineData("int result; do { result = 1; } while ([|fdatasync(3)|] == -1);")]
    [InlineData("Polly.Pipeline.Execute(() => [|flushable.FlushData()|]);")]
    [InlineData("Polly.Pipeline.Execute(() => { _flushes++; [|ordered.Flush()|]; });")]
    public Task A_retried_flush_is_told(string body) => ExpectAsync("SP9106", body);

    [Theory]
    [InlineData("[|fdatasync(3)|];")]
    [InlineData("_ = [|fsync(3)|];")]
    [InlineData("[|msync(0, 0, 4)|];")]
    public Task A_native_sync_whose_result_nobody_sees_is_told(string body) => ExpectAsync("SP9106", body);

    [Theory]
    [InlineData("ordered.Flush(); flushable.FlushData();")]
    [InlineData("try { ordered.Flush(); } catch { throw; }")]
    [InlineData("try { ordered.Flush(); } catch (Exception e) { logger.LogError(e, \"lost\"); throw; }")]
    [InlineData("try { ordered.Flush(); } catch (Exception e) { throw new DurabilityLostException(\"flush\", \"disk\", e.Message, e); }")]
    [InlineData("try { ordered.Flush(); } catch (Exception e) { if (e is StorageException) throw; else throw new InvalidOperationException(\"flush\", e); }")]
    [InlineData("try { ordered.Flush(); } finally { _flushes++; }")]
    [InlineData("try { _flushes++; } catch { ordered.Flush(); }")]
    [InlineData("try { _flushes++; } catch { } finally { ordered.Flush(); }")]
    [InlineData("try { Func<int> later = () => { ordered.Flush(); return 1; }; } catch { }")]
    public Task A_failure_that_goes_on_is_left_alone(string body) => ExpectAsync("none", body);

    [Theory]
    [InlineData("try { flushable.FlushData(); } catch (Exception e) { _failure = e; }")]
    [InlineData("try { flushable.FlushData(); } catch (Exception e) { _failure ??= new DurabilityLostException(\"flush\", \"disk\", e.Message, e); }")]
    [InlineData("try { flushable.FlushData(); } catch (Exception e) { Interlocked.CompareExchange(ref _failure, e, null); }")]
    [InlineData("try { flushable.FlushData(); } catch { _isLost = true; }")]
    [InlineData("try { flushable.FlushData(); } catch { _state = State.Poisoned; }")]
    [InlineData("try { flushable.FlushData(); } catch (StorageException) { Poison(\"fdatasync\"); return false; }")]
    [InlineData("try { flushable.FlushData(); } catch (Exception e) { Environment.FailFast(\"fdatasync\", e); }")]
    [InlineData("var failures = new List<Exception>(); try { flushable.FlushData(); } catch (Exception e) { failures.Add(e); }")]
    [InlineData("Exception? failure = null; try { flushable.FlushData(); } catch (Exception e) { failure = e; } if (failure is not null) throw failure;")]
    [InlineData("bool failed = false; try { flushable.FlushData(); } catch { failed = true; } return !failed;")]
    [InlineData("while (_failure is null) { Thread.Sleep(1); try { flushable.FlushData(); } catch (Exception e) { _failure = e; } }")]
    public Task A_failure_that_is_remembered_is_left_alone(string body) => ExpectAsync("none", body);

    [Theory]
    [InlineData("try { ordered.Flush(); } catch (ArgumentException) { }")]
    [InlineData("try { ordered.Flush(); } catch (OperationCanceledException) { return false; } catch (Exception) { throw; }")]
    [InlineData("try { ordered.Flush(); } catch (StorageException e) when (e is not DurabilityLostException) { }")]
    [InlineData("try { ordered.Flush(); } catch (Exception e) when (!(e is StorageException)) { }")]
    [InlineData("try { ordered.Flush(); } catch (Exception e) when (e is ArgumentException or FormatException) { }")]
    [InlineData("try { ordered.Flush(); } catch (Exception e) when (e is IOException and not StorageException) { }")]
    [InlineData("try { ordered.Flush(); } catch (DurabilityLostException) { throw; } catch (Exception) { }")]
    [InlineData("try { RandomAccess.FlushToDisk(file.SafeFileHandle); } catch (StorageException) { }")]
    public Task A_catch_of_something_else_is_left_alone(string body) => ExpectAsync("none", body);

    [Theory]
    [InlineData("try { file.Flush(); file.Flush(false); } catch { }")]
    [InlineData("try { new MemoryStream().Flush(); } catch { }")]
    [InlineData("if (fdatasync(3) != 0) throw new IOException();")]
    [InlineData("try { ordered.Write(0, default, ContentClass.GuestData); } catch (StorageException) { }")]
    [InlineData("var failures = new List<Exception>(); foreach (IOrderedMedium each in new[] { ordered }) { try { each.Flush(); } catch (Exception e) { failures.Add(e); } }")]
    [InlineData("foreach (IOrderedMedium each in new[] { ordered }) { try { each.Flush(); return true; } catch (Exception e) { _failure = e; } }")]
    public Task What_is_no_flush_or_another_one_each_time_is_left_alone(string body) => ExpectAsync("none", body);

    [Fact]
    public Task A_flush_through_a_class_that_implements_the_contract_is_a_flush() => AuthorsProject.ExpectAsync("SP9106", """
        using StoragePlugins;
        public class Medium : IFlushableMedium
        {
            public virtual void FlushData() { }
            void IFlushableMedium.FlushAll() { }
            public void FlushAll(int depth) { }
        }
        public sealed class Derived : Medium
        {
            public override void FlushData() { }
            public void Close() { try { [|FlushData()|]; } catch (StorageException) { } try { FlushAll(1); } catch (StorageException) { } }
        }
        """);

    private static Task ExpectAsync(string rule, string body) => AuthorsProject.ExpectAsync(rule, $$"""
        using System.Runtime.InteropServices;
        using Microsoft.Extensions.Logging;
        using StoragePlugins;
        namespace Polly { internal static class Pipeline { public static void Execute(Action action) => action(); } }
        internal enum State { Open, Poisoned }
        internal sealed class Subject
        {
            private Exception? _failure;
            private bool _isLost;
            private int _flushes;
            private State _state;
            private void Poison(string call) => _isLost = true;
            [DllImport("libc")] private static extern int fdatasync(int descriptor);
            [DllImport("libc")] private static extern int fsync(int descriptor);
            [DllImport("libc")] private static extern int msync(nint address, nint length, int flags);
            public bool Run(IFlushableMedium flushable, IOrderedMedium ordered, IBarrierMedium barrier, IVirtualDisk disk, IPersistentMemory memory, FileStream file, ILogger logger)
            {
                {{body}}
                return true;
            }
        }
        """);
}
