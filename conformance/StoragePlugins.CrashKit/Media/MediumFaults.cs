namespace StoragePlugins.CrashKit.Media;

/// <summary>What goes wrong with a simulated medium. Each call may throw the error that the device would report. Thread-safe in derived classes.</summary>
public abstract class MediumFaults
{
    /// <summary>Before a read: throws to fail it.</summary>
    public virtual void BeforeRead(int device, long offset, int length)
    {
    }

    /// <summary>Before a write: throws to fail it.</summary>
    public virtual void BeforeWrite(int device, long offset, int length, ContentClass content)
    {
    }

    /// <summary>Before a flush, or a fence of mapped memory: throws to fail it.</summary>
    public virtual void BeforeFlush(int device)
    {
    }

    /// <summary>Before a barrier: throws to fail it.</summary>
    public virtual void BeforeBarrier(int device)
    {
    }
}
