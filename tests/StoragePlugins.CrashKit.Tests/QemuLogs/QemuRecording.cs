using System.Diagnostics;
using StoragePlugins.CrashKit.TraceFiles;

namespace StoragePlugins.CrashKit.Tests.QemuLogs;

/// <summary>
/// QEMU's own qcow2 driver at work, logged by its blklogwrites driver beneath it, with what its guest knows: which bytes were written when, and after which
/// entry of the log they were flushed.
/// </summary>
public sealed class QemuRecording : IDisposable
{
    public const int SectorBytes = 512;
    public const int DiskBytes = 4 << 20;

    private const int ClusterBytes = 64 << 10;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sp-qemu-log-");
    // Per sector the patterns that it had, oldest first.
    private readonly List<byte>[] _values = [.. Enumerable.Range(0, DiskBytes / SectorBytes).Select(_ => new List<byte> { 0 })];
    // Per flush the entries of the log when it returned, and per sector which of its values had to be durable then.
    private readonly List<(long Entries, int[] Durable)> _promises = [];
    private readonly byte[][] _histories;
    private byte _pattern;

    public QemuRecording()
    {
        Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", $"cluster_size={ClusterBytes}", ImagePath, $"{DiskBytes}");
        Base = File.ReadAllBytes(ImagePath);
        File.WriteAllBytes(LogPath, []);
        using var guest = new QemuIoSession("-t", "writeback", "-d", "unmap", "--image-opts",
            $"driver=qcow2,file.driver=blklogwrites,file.file.driver=file,file.file.filename={ImagePath},file.log.driver=file,file.log.filename={LogPath}");
        Play(guest);
        guest.Quit();
        _histories = [.. _values.Select(values => values.ToArray())];
        Final = File.ReadAllBytes(ImagePath);
        using DmLogWritesReader log = DmLogWritesReader.Open(LogPath);
        SuperEntries = log.EntryCount;
        Imported = TraceImport.Read(log);
    }

    /// <summary>The image before the log.</summary>
    public byte[] Base { get; }

    /// <summary>The image after it.</summary>
    public byte[] Final { get; }

    public long SuperEntries { get; }

    public ImportedTrace Imported { get; }

    public int Writes { get; private set; }

    public int Flushes { get; private set; }

    public string ImagePath => Path.Combine(_folder.FullName, "disk.qcow2");

    public string LogPath => Path.Combine(_folder.FullName, "log");

    /// <summary>The ticks from which a guest flush's promise holds.</summary>
    public IReadOnlyList<long> PromiseTicks => [.. _promises.Select(promise => Imported.Ticks[(int)promise.Entries])];

    /// <summary>A file in the recording's folder.</summary>
    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>What is wrong with what a disk shows after a power cut; null when nothing is.</summary>
    /// <param name="disk">All of the disk.</param>
    /// <param name="tick">When the power went.</param>
    public string? Judge(ReadOnlySpan<byte> disk, long tick)
    {
        int owed = _promises.FindLastIndex(promise => Imported.Ticks[(int)promise.Entries] <= tick);
        for (int s = 0; s < _histories.Length; s++)
        {
            ReadOnlySpan<byte> sector = disk.Slice(s * SectorBytes, SectorBytes), allowed = _histories[s].AsSpan(owed < 0 ? 0 : _promises[owed].Durable[s]);
            if (sector.ContainsAnyExcept(sector[0])) return $"sector {s} is a mixture";
            if (!allowed.Contains(sector[0])) return $"sector {s} shows pattern {sector[0]}, which is none of {string.Join(' ', allowed.ToArray())}";
        }

        return null;
    }

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>Runs a program, which must succeed with one of these exit codes.</summary>
    public static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)), $"{program} did not end");
        Assert.True(process.ExitCode is 0 or 2 or 3, $"{program} {string.Join(' ', arguments)}: {output.Result} {errors.Result}");
        return process.ExitCode;
    }

    private void Play(QemuIoSession guest)
    {
        Write(guest, 0, 4096);
        Write(guest, 1 << 20, 65536);
        Flush(guest);
        Write(guest, 65536, 8192);
        Write(guest, 512, 1024); // over what is flushed
        Write(guest, (2 << 20) + 61440, 8192); // two clusters, of both a part
        Flush(guest);
        Write(guest, 3 << 20, 65536);
        Write(guest, 2 << 20, 4096);
        Flush(guest);
        Write(guest, 131072, 512);
        Write(guest, 131072 + 4096, 512);
        Write(guest, 196608, 32768);
        Flush(guest);
        Discard(guest, 1 << 20, 65536);
        Flush(guest);
        Write(guest, (1 << 20) + 8192, 8192); // into the discarded cluster
        Write(guest, 262144, 16384);
        Flush(guest);
        Write(guest, 0, 2048);
        Write(guest, 65536 + 4096, 4096);
        Write(guest, (3 << 20) + 131072, 12288);
        Flush(guest);
        Write(guest, 327680, 65536);
        Write(guest, 393216, 4096);
        Flush(guest);
        Write(guest, (2 << 20) + 196608, 1024);
        Flush(guest);
    }

    private void Write(QemuIoSession guest, int offset, int length)
    {
        Assert.True(_pattern < byte.MaxValue);
        guest.Do($"write -P {++_pattern} {offset} {length}");
        for (int s = offset / SectorBytes; s < (offset + length) / SectorBytes; s++) _values[s].Add(_pattern);
        Writes++;
    }

    private void Discard(QemuIoSession guest, int offset, int length)
    {
        guest.Do($"discard {offset} {length}");
        for (int s = offset / SectorBytes; s < (offset + length) / SectorBytes; s++) _values[s].Add(0);
    }

    private void Flush(QemuIoSession guest)
    {
        guest.Do("flush");
        // The super counts all entries at each flush, and nothing is under way.
        using DmLogWritesReader log = DmLogWritesReader.Open(LogPath);
        _promises.Add((log.EntryCount, [.. _values.Select(values => values.Count - 1)]));
        Flushes++;
    }
}
