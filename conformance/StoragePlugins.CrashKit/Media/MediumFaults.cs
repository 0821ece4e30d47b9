namespace StoragePlugins.CrashKit.Media;

/// <summary>What goes wrong with a simulated medium. Each call may throw the error that the device would report. Thread-safe in derived classes.</summary>
public abstract class MediumFaults
{
    /// <summary>Before a read, or a view of mapped memory: throws to fail it. A view that fails shows zeros and the mapping is lost.</summary>
    public virtual void BeforeRead(int device, long offset, int length)
    {
    }

    /// <summary>Before a write: throws to fail it.</summary>
    public virtual void BeforeWrite(int device, long offset, int length, ContentClass content)
    {
    }

    /// <summary>How much of a write that <see cref="BeforeWrite"/> has just failed is written all the same, from its start.</summary>
    public virtual int WrittenOfFailed(int device, long offset, int length) => 0;

    /// <summary>Before a flush, or a fence of mapped memory: throws to fail it.</summary>
    public virtual void BeforeFlush(int device)
    {
    }

    /// <summary>Before a barrier: throws to fail it.</summary>
    public virtual void BeforeBarrier(int device)
    {
    }
}
