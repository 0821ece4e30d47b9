namespace StoragePlugins.Analyzers.Tests;

public sealed class DataPathAllocationTests
{
    [Theory]
    [InlineData("var scratch = [|new byte[buffer.Length]|]; scratch.CopyTo(buffer);")]
    [InlineData("[|new byte[] { 1, 2 }|].CopyTo(buffer);")]
    [InlineData("[|buffer.ToArray()|].CopyTo(buffer);")]
    [InlineData("Consume([|GC.AllocateUninitializedArray<byte>(buffer.Length)|]);")]
    [InlineData("Consume([|GC.AllocateArray<byte>(4096, pinned: true)|]);")]
    [InlineData("byte[] scratch = [|[1, 2, 3]|]; Consume(scratch);")]
    [InlineData("Consume([|new List<byte> { 1 }.ToArray()|]);")]
    [InlineData("Span<byte> scratch = buffer.Length <= 256 ? stackalloc byte[256] : [|new byte[buffer.Length]|]; scratch[0] = 1;")]
    [InlineData("ReadOnlySpan<byte> pattern = [|new byte[] { (byte)offset, 2 }|]; pattern.CopyTo(buffer);")]
    [InlineData("Local(buffer.Length); static void Local(int length) => Consume([|new byte[length]|]);")]
    [InlineData("if (offset > 0) { Consume([|new byte[3]|]); if (offset > 5) return; throw new ArgumentException(\"x\"); }")]
    public Task An_array_per_read_is_told(string body) => AuthorsProject.ExpectAsync("SP9108", Disk(body));

    [Theory]
    [InlineData("Span<byte> scratch = stackalloc byte[64]; scratch.CopyTo(buffer);")]
    [InlineData("if (_scratch.Length < buffer.Length) _scratch = new byte[buffer.Length];")]
    [InlineData("_lazy ??= GC.AllocateUninitializedArray<byte>(65536, pinned: true);")]
    [InlineData("ReadOnlySpan<byte> magic = new byte[] { 1, 2, 3 }; magic.CopyTo(buffer);")]
    [InlineData("ReadOnlySpan<byte> magic = [1, 2, 3]; magic.CopyTo(buffer); \"QFI\"u8.CopyTo(buffer);")]
    [InlineData("Consume([]);")]
    [InlineData("byte[] rented = System.Buffers.ArrayPool<byte>.Shared.Rent(buffer.Length); System.Buffers.ArrayPool<byte>.Shared.Return(rented);")]
    [InlineData("if (offset < 0) throw new ArgumentException(string.Format(\"{0} {1} {2} {3}\", 1, 2, 3, offset));")]
    [InlineData("if (offset < 0) { var parts = new[] { \"a\", offset.ToString() }; throw new ArgumentException(string.Join(',', parts)); }")]
    [InlineData("try { buffer.Clear(); } catch (StorageException) { Consume(new byte[3]); throw; }")]
    public Task What_allocates_nothing_or_once_or_only_to_fail_is_left_alone(string body) => AuthorsProject.ExpectAsync("none", Disk(body));

    [Fact]
    public async Task A_double_in_a_test_program_may_allocate() => Assert.Empty(await AuthorsProject.DiagnoseAsync(
        Disk("buffer.ToArray();") + "internal static class Program { private static void Main() { } }", Microsoft.CodeAnalysis.OutputKind.ConsoleApplication));

    [Fact]
    public Task What_is_not_on_the_data_path_may_allocate() => AuthorsProject.ExpectAsync("none", """
        using StoragePlugins;
        public sealed class Image
        {
            public byte[] Read(int length) => new byte[length];
            public void Write(long offset, ReadOnlySpan<byte> data) => data.ToArray();
        }
        """);

    [Fact]
    public Task Explicit_and_inherited_and_overriding_implementations_are_on_the_data_path() => AuthorsProject.ExpectAsync("SP9108", """
        using StoragePlugins;
        public class Medium : IFlushableMedium, IBarrierMedium
        {
            void IFlushableMedium.FlushData() { var scratch = [|new byte[4]|]; }
            public virtual void FlushAll() { }
            public void FlushAll(int depth) { var scratch = new byte[depth]; }
            public void Barrier() => Array.Reverse([|new int[] { 1, 2 }|]);
        }
        public sealed class Derived : Medium
        {
            public override void FlushAll() { var scratch = [|new byte[4]|]; }
        }
        """);

    private static string Disk(string body) => $$"""
        using StoragePlugins;
        public sealed class Disk : IVirtualDisk
        {
            private byte[] _scratch = new byte[16];
            private byte[]? _lazy;
            public long Length => new byte[8].Length;
            public bool IsReadOnly => false;
            public int PreferredBlockSize => 4096;
            private static void Consume(byte[] bytes) { }
            public void Read(long offset, Span<byte> buffer)
            {
                {{body}}
            }
            public void Write(long offset, ReadOnlySpan<byte> data, WriteFlags flags = WriteFlags.None) { }
            public void Flush() { }
            public T? GetCapability<T>() where T : class => null;
            public void Dispose() { var last = new byte[3]; }
        }
        """;
}
