namespace StoragePlugins.Analyzers.Tests;

public sealed class BlockingImportTests
{
    [Theory]
    [InlineData("[LibraryImport(\"libc\", EntryPoint = \"fdatasync\"), [|SuppressGCTransition|]] private static partial int Sync(int descriptor);")]
    [InlineData("[LibraryImport(\"libc\"), [|SuppressGCTransition|]] private static partial int fsync(int descriptor);")]
    [InlineData("[DllImport(\"libc\", EntryPoint = \"pread\")] [[|SuppressGCTransition|]] private static extern unsafe nint Read(int file, byte* buffer, nint count, long offset);")]
    [InlineData("[DllImport(\"libc\"), [|SuppressGCTransition|]] private static extern nint write(int file, nint buffer, nint count);")]
    [InlineData("[DllImport(\"libc.so.6\"), [|SuppressGCTransition|]] private static extern int not_known_to_return_at_once();")]
    [InlineData("[DllImport(\"libc\"), [|SuppressGCTransition|]] private static extern long syscall(long number);")]
    [InlineData("[DllImport(\"uring\"), [|SuppressGCTransition|]] private static extern int io_uring_submit_and_wait(nint ring, uint count);")]
    [InlineData("static int Local() { return usleep(1); [DllImport(\"libc\"), [|SuppressGCTransition|]] static extern int usleep(uint time); }")]
    public Task A_call_that_can_block_is_told(string member) => AuthorsProject.ExpectAsync("SP9107", Class(member));

    [Theory]
    [InlineData("[LibraryImport(\"libc\", EntryPoint = \"fdatasync\")] private static partial int Sync(int descriptor);")]
    [InlineData("[LibraryImport(\"libc\", EntryPoint = \"gettid\"), SuppressGCTransition] private static partial int Thread();")]
    [InlineData("[DllImport(\"libc\"), SuppressGCTransition] private static extern unsafe int clock_gettime(int clock, long* time);")]
    [InlineData("[DllImport(\"mycrc\"), SuppressGCTransition] private static extern unsafe uint crc32c(byte* data, nint count);")]
    public Task A_call_that_returns_at_once_or_leaves_the_transition_is_left_alone(string member) => AuthorsProject.ExpectAsync("none", Class(member));

    private static string Class(string member) => $$"""
        using System.Runtime.InteropServices;
        internal static partial class Native
        {
            {{member}}
        }
        """;
}
