using StoragePlugins.CrashKit.Media;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Recording;

namespace StoragePlugins.CrashKit.Tests.Models;

public sealed class CutFileTests
{
    [Fact]
    public void A_file_that_was_cut_and_grew_again_is_not_taken_for_one_that_was_never_cut()
    {
        byte[] content = new byte[8192];
        content.AsSpan().Fill(0xaa);
        var machine = new Machine(content);
        var trace = new Trace();
        trace.Add(TraceKind.SetLength, 0, 4096);
        trace.Add(TraceKind.SetLength, 0, 8192);
        var cursor = new TraceCursor(machine, trace, PersistenceModel.Disk);
        cursor.MoveTo(trace.Now);
        CrashPoint point = cursor.Here();
        StateChoice never = point.Oldest(point.LastEpochs()), again = point.Newest(point.LastEpochs());

        Assert.Equal(0xaa, ContentOf(point, never)[^1]);
        Assert.Equal(0, ContentOf(point, again)[^1]);
        Assert.NotEqual(point.HashOf(never), point.HashOf(again));
    }

    private static byte[] ContentOf(CrashPoint point, StateChoice choice)
    {
        point.Machine.BeginTrial();
        point.Apply(choice);
        byte[] content = point.Machine.Devices[0].Image.ToArray();
        point.Machine.Rollback(1);
        return content;
    }
}
