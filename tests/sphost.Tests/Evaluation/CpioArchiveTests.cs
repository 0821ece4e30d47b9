using System.Text;
using StoragePlugins.Host.Evaluation.VirtualMachine;

namespace StoragePlugins.Host.Tests.Evaluation;

/// <summary>What the kernel unpacks at boot, read by a reader of its own; that a kernel takes it is tested end to end.</summary>
public sealed class CpioArchiveTests
{
    // Fields as Documentation/driver-api/early-userspace/buffer-format.rst has them.
    private const int HeaderBytes = 110;

    [Fact]
    public void Folders_come_before_what_lies_in_them_and_every_part_is_aligned()
    {
        using var output = new MemoryStream();
        var archive = new CpioArchive(output);
        archive.AddFile("/lib64/a/library.so", "12345"u8, CpioArchive.Executable);
        archive.AddFile("lib64/note", "x"u8, CpioArchive.Plain);
        archive.AddDirectory("/lib64/a");
        archive.Finish();
        Assert.Equal(
            [("lib64", 0x41ED, ""), ("lib64/a", 0x41ED, ""), ("lib64/a/library.so", 0x81ED, "12345"), ("lib64/note", 0x81A4, "x"), ("TRAILER!!!", 0, "")],
            Read(output.ToArray()));
    }

    private static List<(string Name, int Mode, string Content)> Read(byte[] archive)
    {
        var entries = new List<(string, int, string)>();
        for (int at = 0; at < archive.Length;)
        {
            string header = Encoding.ASCII.GetString(archive, at, HeaderBytes);
            Assert.StartsWith("070701", header, StringComparison.Ordinal);
            int Field(int index) => Convert.ToInt32(header.Substring(6 + (8 * index), 8), 16);
            int name = Field(11), size = Field(6), content = Align(at + HeaderBytes + name);
            entries.Add((Encoding.ASCII.GetString(archive, at + HeaderBytes, name - 1), Field(1), Encoding.ASCII.GetString(archive, content, size)));
            Assert.Equal(0, archive[at + HeaderBytes + name - 1]);
            at = Align(content + size);
        }

        return entries;
    }

    private static int Align(int position) => (position + 3) & ~3;
}
