using Microsoft.Extensions.Logging.Abstractions;

namespace StoragePlugins.Journaling.Tests.Doubles;

/// <summary>A small image with a session: the mark, tables, data, and the region in the middle of it.</summary>
internal sealed class Image : IDisposable
{
    public const int Tables = 64 << 10;
    public const int TablesLength = 64 << 10;
    public const int Region = 128 << 10;
    public const int RegionLength = (int)JournalSession.MinLogBytes;
    public const int Data = Region + RegionLength;
    public const int DataLength = 1 << 20;

    public static readonly JournalRegion Place = new(Region, RegionLength);

    public Image(RecordingMedium? medium = null, JournalSettings? settings = null, bool start = true, JournalRegion? place = null)
    {
        Medium = medium ?? new RecordingMedium(new byte[Data + DataLength]);
        Site = new MarkedSite(Medium, place ?? Place);
        Session = new JournalSession(Site, Medium, new RegionSource(Site, Medium), settings ?? Settings, NullLogger.Instance);
        if (start)
        {
            Report = Session.Recover();
            Session.Start();
        }
    }

    public static JournalSettings Settings { get; } = new(MaxInline: 4096, OverlayBytes: 1 << 20);

    public RecordingMedium Medium { get; }

    public MarkedSite Site { get; }

    public JournalSession Session { get; }

    public IOrderedMedium Home => Session.Home;

    public RecoveryReport? Report { get; }

    public MetadataTransaction Transaction { get; } = new();

    public static byte[] Filled(int length, int value)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill((byte)value);
        return bytes;
    }

    /// <summary>Commits one after-image.</summary>
    public void Commit(long offset, byte[] bytes, CommitGoal goal = CommitGoal.Durable)
    {
        Transaction.Clear();
        Transaction.Add(2, ContentClass.Map, offset, bytes);
        Session.Commit(Transaction, goal);
    }

    public byte[] Read(long offset, int length)
    {
        byte[] bytes = new byte[length];
        Assert.Equal(length, Home.Read(offset, bytes));
        return bytes;
    }

    /// <summary>The image as it is found after the process died.</summary>
    public Image Reopen(bool start = true) => new(new RecordingMedium(Medium.Copy()), Settings, start);

    public void Dispose() => Session.Dispose();
}
