using StoragePlugins.CrashKit.Media;

namespace StoragePlugins.CrashKit.Faults;

/// <summary>A range of a device that cannot be read until all of it was written anew, as a latent sector error.</summary>
internal sealed class UnreadableRange(int device, long offset, int length) : MediumFaults
{
    private volatile bool _isRewritten;
    private volatile bool _wasMet;

    public long Offset => offset;

    public int Length => length;

    /// <summary>Somebody was refused.</summary>
    public bool WasMet => _wasMet;

    public override void BeforeRead(int readDevice, long readOffset, int readLength)
    {
        if (Overlaps(readDevice, readOffset, readLength)) throw Unreadable("read", readOffset, readLength);
    }

    public override void BeforeWrite(int writtenDevice, long writtenOffset, int writtenLength, ContentClass content)
    {
        if (!Overlaps(writtenDevice, writtenOffset, writtenLength)) return;
        // A part of a sector is written by reading the rest of it.
        if (writtenOffset > offset || writtenOffset + writtenLength < offset + length) throw Unreadable("write", writtenOffset, writtenLength);
        _isRewritten = true;
    }

    private bool Overlaps(int otherDevice, long otherOffset, int otherLength) =>
        !_isRewritten && otherDevice == device && otherOffset < offset + length && offset < otherOffset + otherLength;

    private StorageException Unreadable(string operation, long at, int bytes)
    {
        _wasMet = true;
        return new StorageException(StorageError.Io, operation, "simulated device", at, bytes, "injected by the crash kit: unreadable sector");
    }
}
