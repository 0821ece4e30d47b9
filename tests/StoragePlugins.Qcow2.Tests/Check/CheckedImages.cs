using System.Buffers.Binary;
using System.Text.Json;
using StoragePlugins.Qcow2.Check;
using StoragePlugins.Qcow2.Header;

namespace StoragePlugins.Qcow2.Tests.Check;

/// <summary>How a check ends; the numbers are qemu-img's exit codes.</summary>
internal enum Verdict
{
    Clean = 0,
    CannotCheck = 1,
    Corrupt = 2,
    Leaks = 3,
}

/// <summary>Images made by QEMU, our verdict and QEMU's, and the surgery that breaks images.</summary>
internal static class CheckedImages
{
    public static CheckReport RunCheck(string image, RepairMode mode = RepairMode.None)
    {
        using var medium = new TestFileMedium(image, readOnly: mode == RepairMode.None);
        return new Qcow2Checker(medium, Qcow2Header.ReadForCheck(medium)).Run(mode);
    }

    public static Verdict VerdictOf(string image, out string words)
    {
        try
        {
            CheckReport report = RunCheck(image);
            words = string.Join('\n', report.Findings.Take(10));
            return report.Corruptions > 0 ? Verdict.Corrupt : report.Leaks > 0 ? Verdict.Leaks : Verdict.Clean;
        }
        catch (DiagnosticException refusal)
        {
            words = refusal.Message;
            return Verdict.CannotCheck;
        }
    }

    public static Verdict QemuVerdictOf(string image, out string words)
    {
        (int code, string output, string errors) = Qemu.Run("qemu-img", "check", "-f", "qcow2", "--output=json", image);
        words = errors + output;
        Assert.InRange(code, 0, 3);
        return (Verdict)code;
    }

    /// <summary>QEMU's own figures for comparison with a report.</summary>
    public static (long Allocated, long ImageEnd) QemuFigures(string image)
    {
        (_, string output, _) = Qemu.Run("qemu-img", "check", "-f", "qcow2", "--output=json", image);
        JsonElement json = JsonDocument.Parse(output).RootElement;
        return (json.TryGetProperty("allocated-clusters", out JsonElement allocated) ? allocated.GetInt64() : 0, json.GetProperty("image-end-offset").GetInt64());
    }

    public static void Edit(string image, Action<TestFileMedium, Qcow2Header> edit)
    {
        using var medium = new TestFileMedium(image);
        edit(medium, Qcow2Header.Read(medium));
    }

    public static ulong Entry(TestFileMedium medium, long offset)
    {
        byte[] bytes = new byte[8];
        Assert.Equal(8, medium.Read(offset, bytes));
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    public static void SetEntry(TestFileMedium medium, long offset, ulong value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        medium.Write(offset, bytes, ContentClass.Map);
    }

    /// <summary>Where the L2 table of the first L1 entry lies.</summary>
    public static long FirstL2(TestFileMedium medium, Qcow2Header header) => (long)(Entry(medium, header.L1TableOffset) & Qcow2Layout.OffsetMask);

    public static long FirstRefcountBlock(TestFileMedium medium, Qcow2Header header) => (long)Entry(medium, header.RefcountTableOffset);

    /// <summary>Stores a refcount of 16 bits in the first block.</summary>
    public static void SetRefcount(TestFileMedium medium, Qcow2Header header, long cluster, ushort refcount)
    {
        Assert.Equal(4, header.RefcountOrder);
        byte[] bytes = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, refcount);
        medium.Write(FirstRefcountBlock(medium, header) + (cluster * 2), bytes, ContentClass.Allocation);
    }
}
