using System.Buffers.Binary;
using System.Runtime.InteropServices;
using StoragePlugins.PmFileSystem.Layout;

namespace StoragePlugins.PmFileSystem.Tests;

public class InodeChecksumTests
{
    [Fact]
    public void It_is_that_of_the_four_lines_checksums_begun_with_the_number()
    {
        for (int seed = 0; seed < 20; seed++)
        {
            byte[] bytes = FileTests.Random(PmLayout.InodeBytes, seed);
            uint inode = (uint)seed * 1_234_567;
            uint computed = MemoryMarshal.Read<InodeRecord>(bytes).ComputeChecksum(inode);
            bytes.AsSpan(48, 4).Clear();
            byte[] sums = new byte[16];
            for (int line = 0; line < 4; line++) BinaryPrimitives.WriteUInt32LittleEndian(sums.AsSpan(line * 4), Crc.Of(bytes.AsSpan(line * 64, 64), 0));
            Assert.Equal(Crc.Of(sums, inode), computed);
        }
    }

    // RFC 3720, B.4: 32 bytes of zeros.
    [Fact]
    public void The_checksum_of_zeros_is_the_standards() => Assert.Equal(0x8a9136aau, Crc.Of(new byte[32], 0));
}
