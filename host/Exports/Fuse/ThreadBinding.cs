namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>Where a thread may run. Of one thread, called by itself.</summary>
internal sealed unsafe class ThreadBinding
{
    /// <summary>1024 processors, the size of the C library's set; with more the thread stays unbound.</summary>
    private const int MaskBytes = 128;

    private readonly byte[] _everywhere = new byte[MaskBytes];
    private int _processor = CallerPlacement.Anywhere;
    private bool _isKnown;

    /// <summary>Binds the calling thread to a processor, or sets it free where it was before.</summary>
    public void MoveTo(int processor)
    {
        if (processor == _processor) return;
        fixed (byte* everywhere = _everywhere)
        {
            if (!_isKnown)
            {
                if (FuseCalls.GetAffinity(0, MaskBytes, everywhere) < 0) return;
                _isKnown = true;
            }

            _processor = processor;
            // A processor that this process was kept from stays forbidden.
            if (processor is < 0 or >= MaskBytes * 8 || (everywhere[processor / 8] & (1 << (processor % 8))) == 0)
            {
                _ = FuseCalls.SetAffinity(0, MaskBytes, everywhere);
                return;
            }

            byte* one = stackalloc byte[MaskBytes];
            new Span<byte>(one, MaskBytes).Clear();
            one[processor / 8] = (byte)(1 << (processor % 8));
            _ = FuseCalls.SetAffinity(0, MaskBytes, one);
        }
    }
}
