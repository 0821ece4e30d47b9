namespace StoragePlugins.GuestBarrierBench;

/// <summary>A pipeline on a device.</summary>
/// <param name="Device">What the device is.</param>
/// <param name="Name">As shown.</param>
/// <param name="Pipeline">Its configuration, as in a file of pipelines.</param>
internal sealed record Contender(string Device, string Name, string Pipeline)
{
    private const string File = "[\"file\"]";
    private const string SlowFile = "[{ \"id\": \"slow\", \"flush\": \"2ms\" }, \"file\"]";
    private const string BarrierDevice = "[{ \"id\": \"slow\", \"preset\": \"consumer-ssd\" }, { \"id\": \"memory\", \"limit\": \"2G\" }]";

    /// <summary>All of them, device by device.</summary>
    public static IReadOnlyList<Contender> All { get; } =
    [
        .. OnFile("this machine's disk", File),
        .. OnFile("2 ms a flush", SlowFile),
        Of("a device with barriers", "internal → barrierfs", "qcow2", "\"internal\"", "barrierfs", BarrierDevice),
        Of("a device with barriers", "ordered → barrierfs", "qcow2", "\"ordered\"", "barrierfs", BarrierDevice),
        Of("a device with barriers", "ordered → fdatasync", "qcow2", "\"ordered\"", "fdatasync", BarrierDevice),
    ];

    private static IEnumerable<Contender> OnFile(string device, string medium) =>
    [
        Of(device, "internal → fdatasync", "qcow2", "\"internal\"", "fdatasync", medium),
        Of(device, "internal → barrierfs", "qcow2", "\"internal\"", "barrierfs", medium),
        // Beside the image, in memory's stead: what persistent memory makes of it is docs/compare.md's matter.
        Of(device, "pm → fdatasync", "qcow2", "{ \"id\": \"pm\", \"emulated\": true }", "fdatasync", medium),
        Of(device, "ordered → barrierfs", "qcow2", "\"ordered\"", "barrierfs", medium),
        Of(device, "ordered → fdatasync", "qcow2", "\"ordered\"", "fdatasync", medium),
        Of(device, "raw → fdatasync", "raw", "\"ordered\"", "fdatasync", medium),
    ];

    private static Contender Of(string device, string name, string format, string journal, string ordering, string medium) =>
        new(device, name, $"{{ \"format\": \"{format}\", \"journal\": {journal}, \"ordering\": \"{ordering}\", \"medium\": {medium} }}");
}

/// <summary>How a guest asks for order or durability.</summary>
/// <param name="Name">As shown.</param>
/// <param name="Arguments">For <c>sphost nbd-test</c>.</param>
internal sealed record Mode(string Name, params string[] Arguments)
{
    public static Mode FlushEach { get; } = new("flush each", "--sync", "flush");

    public static IReadOnlyList<Mode> All(int flushEvery) =>
    [
        FlushEach,
        new("barrier each", "--sync", "barrier", "--flush-every", $"{flushEvery}"),
        new("no order", "--sync", "none", "--flush-every", $"{flushEvery}"),
    ];
}
