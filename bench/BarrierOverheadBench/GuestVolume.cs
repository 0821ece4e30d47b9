using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using StoragePlugins.Host.Commands;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>ext4 on a loop device on the disk, which another process shows as a file: the stack of a guest without its machine.</summary>
internal sealed class GuestVolume : Volume
{
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly string _mount;
    private string? _loop;
    private bool _isMounted;

    /// <param name="contender">Whose disk it is.</param>
    /// <param name="host">Knows the contenders' pipelines.</param>
    /// <param name="configuration">The same for the other process.</param>
    /// <param name="folder">Empty, for all that the volume needs.</param>
    /// <param name="freshJournal">Leave the journal's blocks unwritten: their first use allocates clusters.</param>
    public GuestVolume(Contender contender, HostSession host, string configuration, string folder, bool freshJournal)
        : base(contender)
    {
        string image = Path.Combine(folder, "disk.qcow2"), export = Directory.CreateDirectory(Path.Combine(folder, "export")).FullName;
        _mount = Directory.CreateDirectory(Path.Combine(folder, "guest")).FullName;
        host.Composer.Create(host.Composer.Choose(contender.Name, image), image, new CreateRequest(DiskBytes));
        _process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [DiskProcess.Verb, image, export, configuration, contender.Name])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        try
        {
            if (_process.StandardOutput.ReadLine() != DiskProcess.Ready) throw new BenchException($"{contender.Name}: its disk was not mounted");
            _loop = Programs.Run("losetup", "--find", "--show", Path.Combine(export, "disk"));
            Programs.Run("mkfs.ext4", "-q", "-E", $"nodiscard,lazy_itable_init=0,lazy_journal_init={(freshJournal ? 1 : 0)}", _loop);
            Programs.Run("mount", _loop, _mount);
            _isMounted = true;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where the guest's files are.</summary>
    public string Folder => _mount;

    public override Counts Counts
    {
        get
        {
            _process.Refresh();
            _process.StandardInput.WriteLine();
            _process.StandardInput.Flush();
            string line = _process.StandardOutput.ReadLine() ?? throw new BenchException($"{Contender.Name}: its disk's process ended");
            return JsonSerializer.Deserialize<Counts>(line) with { Transactions = JournalTransactions(), Processor = _process.TotalProcessorTime };
        }
    }

    public override void Settle() => Programs.Run("sync", "--file-system", _mount);

    public override void Dispose()
    {
        if (_isMounted) Programs.Run("umount", _mount);
        _isMounted = false;
        if (_loop is { } loop) Programs.Run("losetup", "--detach", loop);
        _loop = null;
        _process.StandardInput.Close();
        if (!_process.WaitForExit(s_endLimit)) _process.Kill();
        _process.Dispose();
    }

    // "1234 transactions (…), each up to … blocks"
    private long JournalTransactions()
    {
        string statistics = $"/proc/fs/jbd2/{Path.GetFileName(_loop)}-8/info";
        return long.Parse(File.ReadLines(statistics).First().Split(' ')[0], CultureInfo.InvariantCulture);
    }
}
