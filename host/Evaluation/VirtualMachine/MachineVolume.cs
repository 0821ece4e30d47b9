using System.Globalization;
using StoragePlugins.Host.Evaluation.Places;

namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>A running virtual machine with a mounted file system on its disk.</summary>
internal interface IMachineVolume : IVolume
{
    /// <summary>Where the file system is mounted, in the guest.</summary>
    string Folder { get; }

    /// <summary>Runs a command in the guest's shell.</summary>
    GuestAnswer Run(string command, TimeSpan limit, CancellationToken cancel);
}

/// <inheritdoc cref="IMachineVolume"/>
internal sealed class MachineVolume(IGuestDisk disk, GuestMachine machine) : IMachineVolume
{
    // Fields of /sys/block/*/stat, from 0: Documentation/block/stat.rst.
    private const int SectorsWritten = 6, Flushes = 15;
    private const int SectorBytes = 512;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    public string Folder => GuestScript.MountPoint;

    public VolumeCounts? Counts
    {
        get
        {
            string[] fields = machine.Run($"cat {GuestScript.DiskStatistics}", s_limit, CancellationToken.None).Output.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return new VolumeCounts(long.Parse(fields[Flushes], CultureInfo.InvariantCulture), long.Parse(fields[SectorsWritten], CultureInfo.InvariantCulture) * SectorBytes, disk.Counts);
        }
    }

    public GuestAnswer Run(string command, TimeSpan limit, CancellationToken cancel) => machine.Run(command, limit, cancel);

    public void Settle() => machine.Run("sync", s_limit, CancellationToken.None);

    public void Close()
    {
        machine.PowerOff(CancellationToken.None);
        disk.Close();
    }

    public void Dispose()
    {
        machine.Dispose();
        disk.Dispose();
    }
}
