using System.Buffers.Binary;

namespace StoragePlugins.Journaling.Tests.Doubles;

/// <summary>An image of which the first sector is the mark, followed by homes and a region. What it knows it reads from the medium.</summary>
internal sealed class MarkedSite(RecordingMedium medium, JournalRegion place) : IJournalSite, IJournalRegionSite, IInUseMark
{
    public string ImageName => "image";

    public Guid ImageId => IsSet ? new Guid(Sector.AsSpan(8, 16)) : Guid.Empty;

    public ulong Epoch => BinaryPrimitives.ReadUInt64LittleEndian(Sector.AsSpan(24));

    public bool IsReadOnly => medium.IsReadOnly;

    public JournalRegion? Region => IsSet ? place : null;

    public ReadOnlyMemory<byte>? Payload => IsSet ? (ReadOnlyMemory<byte>?)Sector.AsMemory(36, Sector[32]) : null;

    /// <summary>What else must not be replayed over.</summary>
    public Func<long, long, bool> Forbids { get; set; } = (_, _) => false;

    private byte[] Sector
    {
        get
        {
            byte[] sector = new byte[512];
            medium.Read(0, sector);
            return sector;
        }
    }

    private bool IsSet => Sector[0] == 1;

    public bool IsHome(long offset, long length) =>
        offset >= 512 && (offset + length <= place.Offset || offset >= place.Offset + place.Length) && !Forbids(offset, length);

    public JournalRegion Reserve(long length) => place.Length >= length ? place : throw new StorageException(StorageError.NoSpace, "reserve", ImageName, -1, length, "test");

    public void Set(ReadOnlySpan<byte> payload)
    {
        byte[] sector = new byte[512];
        (IsSet ? ImageId : Guid.NewGuid()).TryWriteBytes(sector.AsSpan(8));
        BinaryPrimitives.WriteUInt64LittleEndian(sector.AsSpan(24), Epoch + 1);
        sector[0] = 1;
        sector[32] = (byte)payload.Length;
        payload.CopyTo(sector.AsSpan(36));
        medium.Write(0, sector, ContentClass.Header);
        medium.Flush();
    }

    public void Clear()
    {
        byte[] sector = Sector;
        sector[0] = 0;
        medium.Write(0, sector, ContentClass.Header);
        medium.Flush();
    }

    public T? GetCapability<T>() where T : class => this as T;
}

/// <summary>A ring in the site's region.</summary>
internal sealed class RegionSource(MarkedSite site, RecordingMedium medium) : IRecordLogSource
{
    public IRecordLog Find(ReadOnlyMemory<byte> markPayload) => new RegionLog(medium, site.Region!.Value);

    public IRecordLog Prepare() => new RegionLog(medium, site.Reserve(1));

    public int WriteMarkPayload(Span<byte> payload) => 0;

    public void Marked(RecordIdentity identity)
    {
    }

    public void Cleared()
    {
    }

    public void Dispose()
    {
    }
}
