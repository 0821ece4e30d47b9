using Microsoft.Extensions.Logging.Abstractions;
using StoragePlugins.Raw;

namespace StoragePlugins.Qcow2.Tests.Disk;

/// <summary>Opens and recovers images that lie in memory.</summary>
internal static class CrashImage
{
    public static IDiskImage Open(RecordingMedium medium, bool readOnly, TestJournal journal)
    {
        var journalContext = new StrategyContext(journal.Options, new StorageMeter(), NullLogger.Instance);
        var context = new StrategyContext(new Qcow2Options { MapCache = 64 << 10, RefcountCache = 64 << 10 }, new StorageMeter(), NullLogger.Instance);
        return new Qcow2Format().Open(new OpenRequest
        {
            Storage = medium,
            ReadOnly = readOnly,
            JournalId = journal.Id,
            OpenJournal = (site, home) => journal.Open(site, home, journalContext),
            OpenBacking = request => new RawFormat().Open(new OpenRequest
            {
                Storage = new CountingOrderedMedium(new TestFileMedium(request.File, readOnly: true)),
                ReadOnly = true,
                JournalId = "ordered",
                OpenJournal = (_, _) => throw new InvalidOperationException(),
                OpenBacking = _ => throw new InvalidOperationException(),
            }, context).OpenDisk(""),
        }, context);
    }

    /// <summary>Recovers, half of the time after a power cut inside a recovery.</summary>
    public static byte[] Recover(byte[] state, TestJournal journal, Random random)
    {
        while (true)
        {
            var medium = new RecordingMedium(state);
            using IDiskImage opened = Open(medium, readOnly: false, journal);
            opened.Close();
            if (random.Next(2) == 0) return medium.Now;
            state = medium.StateAt(state, random.Next(medium.Events.Count + 1), random.Next(3), random);
        }
    }
}
