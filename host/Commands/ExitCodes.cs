namespace StoragePlugins.Host.Commands;

/// <summary>What the process says to its caller. <c>image check</c> alone follows qemu-img instead.</summary>
internal static class ExitCodes
{
    /// <summary>Done.</summary>
    public const int Done = 0;

    /// <summary>Failed; the reason is on standard error.</summary>
    public const int Failed = 1;

    /// <summary>The command line makes no sense.</summary>
    public const int Usage = 2;
}
