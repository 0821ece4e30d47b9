using StoragePlugins.PmFileSystem.Check;

namespace StoragePlugins.PmFileSystem.Tests.Check;

public class KeyedHashTests
{
    [Theory]
    // What CPython 3.11 answers for hash(bytes) with PYTHONHASHSEED=0: SipHash-1-3 with a key of zeros.
    [InlineData("a", 0x407448d2b89b1813)]
    [InlineData("abcdefg", 0x6db12aae9070f506)]
    [InlineData("abcdefgh", 0x3f7b849c0b8e35ea)]
    [InlineData("a name of 26 bytes, hashed", 0xa360f389317f8fc5)]
    public void Names_hash_as_siphash_1_3_does_elsewhere(string name, ulong hash) =>
        Assert.Equal(hash, KeyedHash.Of((0, 0), System.Text.Encoding.UTF8.GetBytes(name)));
}
