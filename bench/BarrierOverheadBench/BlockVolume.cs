using StoragePlugins.Host.Commands;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Disks;
using StoragePlugins.Host.Exports.Nbd;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>The disk itself, over NBD, without a file system.</summary>
internal sealed class BlockVolume : Volume
{
    private static readonly TimeSpan s_stopLimit = TimeSpan.FromSeconds(30);

    private readonly OpenedImage _image;
    private readonly ServedDisk _disk;
    private readonly NbdServer _server;

    /// <param name="contender">Whose disk it is.</param>
    /// <param name="host">Knows the contenders' pipelines.</param>
    /// <param name="image">To be made.</param>
    /// <param name="socket">To be served at.</param>
    public BlockVolume(Contender contender, HostSession host, string image, string socket)
        : base(contender)
    {
        PipelineDefinition pipeline = host.Composer.Choose(contender.Name, image);
        host.Composer.Create(pipeline, image, new CreateRequest(DiskBytes));
        _image = host.Composer.Open(pipeline, image, readOnly: false);
        _disk = new ServedDisk(contender.Name, _image.Image.OpenDisk(""), _image.Meter);
        _server = new NbdServer([new NbdExport("", _disk)], new NbdLimits(), host.Logger);
        _server.Start(NbdListener.UnixSocket(socket));
        Client = NbdClient.Connect(socket, contender.Name, Load.RecordBytes);
    }

    /// <summary>Its one client.</summary>
    public NbdClient Client { get; }

    public override Counts Counts => Counts.Of(_image.Meter);

    public override void Settle() => Client.Flush();

    public override void Dispose()
    {
        Client.Dispose();
        if (_server.Stop(s_stopLimit) && _disk.Quiesce(s_stopLimit)) _image.Image.Close();
        _server.Dispose();
        _disk.Dispose();
        _image.Dispose();
    }
}
