using System.CommandLine;
using System.Globalization;
using Microsoft.Extensions.Logging;
using StoragePlugins.Client;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Host.NbdTesting;
using StoragePlugins.Host.Pipelines;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost nbd-test</c>: writes to an NBD server with barriers, flushes or neither, verifies, and says how long that took.</summary>
internal static class NbdTestCommand
{
    private const int MaxOperations = 1_000_000;
    private const int MaxBlockBytes = NbdDisk.MaxPayloadBytes;

    private static readonly Argument<string> s_uri = new("URI") { Description = "nbd://HOST[:PORT]/[EXPORT] or nbd+unix:///[EXPORT]?socket=PATH" };
    private static readonly Option<NbdTestWorkload> s_workload = new("--workload", "-w") { Description = "append: one block after the other; overwrite: over blocks that were written before; random: each block once, in an order of chance.", HelpName = "NAME" };
    private static readonly Option<NbdTestSync> s_sync = new("--sync", "-s") { Description = "After each write a flush (durable), a guest barrier (ordered) or none; fua: the write itself is durable.", HelpName = "KIND" };
    private static readonly Option<int> s_operations = new("--operations", "-n") { Description = "Writes.", HelpName = "N", DefaultValueFactory = _ => 1000 };
    private static readonly Option<string> s_block = new("--block", "-b") { Description = "Bytes of each write.", HelpName = "SIZE", DefaultValueFactory = _ => "64K" };
    private static readonly Option<int> s_flushEvery = new("--flush-every") { Description = "Also a flush after every so many writes; 0 for one at the end only.", HelpName = "N" };
    private static readonly Option<int> s_seed = new("--seed") { Description = "Decides the order of 'random'.", HelpName = "N", DefaultValueFactory = _ => 1 };
    private static readonly Option<bool> s_overwrite = new("--overwrite") { Description = "Write also over what no test has written. It is lost." };
    private static readonly Option<bool> s_check = new("--check") { Description = "Write nothing: look at what an interrupted test left, and say whether order was kept." };

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var command = new Command("nbd-test", "Write to an NBD server, ours or another, with guest barriers or flushes; verify; print latencies.")
        {
            s_uri, s_workload, s_sync, s_operations, s_block, s_flushEvery, s_seed, s_overwrite, s_check, services.Json,
        };
        command.SetAction(commandLine => Run(services, commandLine));
        return command;
    }

    private static int Run(HostServices services, ParseResult commandLine)
    {
        NbdTestPlan? plan = commandLine.GetValue(s_check) ? null : PlanOf(commandLine);
        using var cancel = new SignalCancellation();
        using NbdDisk disk = Connect(commandLine.GetValue(s_uri)!);
        try
        {
            return plan is null
                ? Check(services, disk, commandLine.GetValue(services.Json), cancel.Token)
                : Test(services, disk, plan, commandLine.GetValue(s_overwrite), commandLine.GetValue(services.Json), cancel.Token);
        }
        catch (NbdException failure)
        {
            throw new DiagnosticException("SP4232", $"the NBD server failed: {failure.Reason}", failure.Server, fix: "look at the server's own messages", inner: failure);
        }
        catch (OperationCanceledException)
        {
            services.Logger.LogInformation("{Note}", "stopped before the end; 'sphost nbd-test --check' judges what is there");
            return ExitCodes.Failed;
        }
    }

    private static int Test(HostServices services, NbdDisk disk, NbdTestPlan plan, bool overwrites, bool json, CancellationToken cancel)
    {
        RequireAble(disk, plan);
        if (!overwrites) NbdTestRun.RequireUnused(disk, plan.AreaBytes, cancel);
        NbdTestFigures figures = new NbdTestRun(disk, plan, cancel).Run();
        if (json) services.Output.WriteJson(new { Uri = disk.Uri.ToString(), Server = FactsOf(disk), Plan = plan, Figures = figures });
        else Write(services.Output, disk, plan, figures);
        return ExitCodes.Done;
    }

    private static int Check(HostServices services, NbdDisk disk, bool json, CancellationToken cancel)
    {
        OrderVerdict verdict = OrderCheck.Judge(disk, cancel);
        if (json) services.Output.WriteJson(new { Uri = disk.Uri.ToString(), verdict.Plan, verdict.LastWrite, verdict.CompleteWrites, OrderKept = verdict.Broken is null, verdict.Broken });
        if (verdict.Broken is { } broken)
            throw new DiagnosticException("SP4234", "order was not kept", disk.Uri.ToString(), "everything before a barrier, where anything after it is there", broken, "do not use this server for what needs order");
        if (!json) services.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"order kept: {verdict.CompleteWrites:n0} of {verdict.Plan.Writes:n0} writes are there, and nothing of a later epoch without them"));
        return ExitCodes.Done;
    }

    private static NbdDisk Connect(string uri)
    {
        try
        {
            return NbdDisk.Connect(uri);
        }
        catch (FormatException failure)
        {
            throw new DiagnosticException("SP4231", "this is no NBD URI that can be used", uri, "nbd://HOST[:PORT]/[EXPORT] or nbd+unix:///[EXPORT]?socket=PATH", failure.Message.TrimEnd('.'), inner: failure);
        }
        catch (NbdException failure)
        {
            throw new DiagnosticException("SP4232", $"the NBD server failed: {failure.Reason}", failure.Server, fix: "is it running, and is this its URI? 'sphost disk list' and the server's own start say it", inner: failure);
        }
    }

    private static void RequireAble(NbdDisk disk, NbdTestPlan plan)
    {
        string where = disk.Uri.ToString();
        if (disk.IsReadOnly) throw new DiagnosticException("SP4232", "the NBD server failed: its export is read-only", where, fix: "serve it for writing");
        if (plan.Sync == NbdTestSync.Barrier && !disk.SupportsBarriers)
            throw new DiagnosticException("SP4230", "guest barriers cannot be used here", where, found: disk.WhyNoBarriers, fix: "use --sync flush, or serve the disk with 'sphost serve'");
        NbdFeatures needed = NbdFeatures.Flush | (plan.Sync == NbdTestSync.Fua ? NbdFeatures.ForceUnitAccess : 0);
        if ((disk.Features & needed) != needed) throw new DiagnosticException("SP4232", "the NBD server failed: its export cannot make anything durable as the test asks", where, $"{needed}", $"{disk.Features}");
        if (plan.AreaBytes > disk.Size)
            throw new DiagnosticException("SP4236", "the test does not fit the disk", where, $"{plan.Operations} writes of {plan.BlockBytes} bytes in {disk.Size} bytes", $"{plan.AreaBytes} bytes", "make --operations or --block smaller");
        if (plan.BlockBytes % disk.BlockSizes.Minimum != 0)
            throw new DiagnosticException("SP4236", "the blocks do not suit the server", where, $"multiples of {disk.BlockSizes.Minimum} bytes", $"--block {plan.BlockBytes}");
    }

    private static NbdTestPlan PlanOf(ParseResult commandLine)
    {
        string text = commandLine.GetValue(s_block)!;
        if (!Quantities.TryParseSize(text, out long block) || block is < TestStamp.SectorBytes or > MaxBlockBytes || block % TestStamp.SectorBytes != 0)
            throw new DiagnosticException("SP4236", "the size of a block makes no sense", "--block", $"a multiple of {TestStamp.SectorBytes} bytes up to {Quantities.FormatSize(MaxBlockBytes)}", $"'{text}'");
        int operations = InRange(commandLine.GetValue(s_operations), 1, MaxOperations, "--operations");
        int flushEvery = InRange(commandLine.GetValue(s_flushEvery), 0, MaxOperations, "--flush-every");
        return new NbdTestPlan(commandLine.GetValue(s_workload), commandLine.GetValue(s_sync), operations, (int)block, flushEvery, commandLine.GetValue(s_seed));
    }

    private static int InRange(int value, int least, int most, string option) => value >= least && value <= most
        ? value
        : throw new DiagnosticException("SP4236", "the number is out of range", option, $"{least} to {most}", $"{value}");

    private static object FactsOf(NbdDisk disk) => new { disk.Size, disk.SupportsBarriers, disk.WhyNoBarriers, Features = disk.Features.ToString(), disk.BlockSizes };

    private static void Write(CommandOutput output, NbdDisk disk, NbdTestPlan plan, NbdTestFigures figures)
    {
        output.WriteFacts(
        [
            ("server", $"{disk.Uri}, {Quantities.FormatSize(disk.Size)}"),
            ("guest barriers", disk.SupportsBarriers ? "yes" : $"no: {disk.WhyNoBarriers}"),
            ("test", string.Create(CultureInfo.InvariantCulture, $"{plan.Workload.ToString().ToLowerInvariant()}, {plan.Operations:n0} writes of {Quantities.FormatSize(plan.BlockBytes)}, {After(plan)}")),
            ("result", string.Create(CultureInfo.InvariantCulture, $"{figures.OperationsPerSecond:n0} writes/s, {figures.MegabytesPerSecond:n1} MB/s, {figures.Seconds:n2} s in all; read back and right")),
        ]);
        output.WriteTable(["", "COUNT", "MEDIAN µs", "P99 µs", "MAX µs"], Rows(plan, figures));
    }

    private static string After(NbdTestPlan plan)
    {
        string each = plan.Sync switch
        {
            NbdTestSync.Flush => "a flush after each",
            NbdTestSync.Barrier => "a barrier after each",
            NbdTestSync.Fua => "each durable by itself",
            _ => "nothing after each",
        };
        return plan.FlushEvery == 0 ? $"{each}, a flush at the end" : string.Create(CultureInfo.InvariantCulture, $"{each}, a flush every {plan.FlushEvery:n0}");
    }

    private static IEnumerable<Cell[]> Rows(NbdTestPlan plan, NbdTestFigures figures)
    {
        if (figures.Sync is not null) yield return Row("operation", figures.Operation);
        yield return Row("write", figures.Write);
        if (figures.Sync is { } sync) yield return Row(plan.Sync == NbdTestSync.Barrier ? "barrier" : "flush", sync);
        yield return Row("flush between", figures.Flush);
    }

    private static Cell[] Row(string name, LatencyFigures latency) =>
    [
        name, latency.Count.ToString("n0", CultureInfo.InvariantCulture), latency.Median.ToString("n1", CultureInfo.InvariantCulture),
        latency.P99.ToString("n1", CultureInfo.InvariantCulture), latency.Max.ToString("n1", CultureInfo.InvariantCulture),
    ];
}
