using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using StoragePlugins.CrashKit.Contracts;
using StoragePlugins.CrashKit.Subjects;
using StoragePlugins.Host.CrashTesting;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Commands;

/// <summary><c>sphost conformance</c>: whether a plugin's strategies keep their contracts.</summary>
internal static class ConformanceCommand
{
    private static readonly Argument<string> s_path = new("PATH") { Description = "A plugin's folder or DLL. Its code is run." };
    private static readonly Option<int> s_seed = new("--seed") { Description = "The same seed gives the same workloads.", HelpName = "N", DefaultValueFactory = _ => 1 };
    private static readonly Option<string> s_budget = new("--budget") { Description = "Time for each case that cuts the power.", HelpName = "TIME", DefaultValueFactory = _ => "5s" };

    /// <summary>Makes the command.</summary>
    public static Command Create(HostServices services)
    {
        var command = new Command("conformance", "Put a plugin's strategies through the tests of their contracts, power cuts included.") { s_path, s_seed, s_budget, services.Json };
        command.SetAction(commandLine => Run(services, commandLine));
        return command;
    }

    private static int Run(HostServices services, ParseResult commandLine)
    {
        string text = commandLine.GetValue(s_budget)!;
        if (!Quantities.TryParseDuration(text, out TimeSpan budget) || budget <= TimeSpan.Zero || budget > TimeSpan.FromHours(1))
            throw new DiagnosticException("SP6001", "the time makes no sense", "--budget", "up to 1h, such as 5s", $"'{text}'");
        var settings = new ConformanceSettings { Seed = commandLine.GetValue(s_seed), Budget = budget };
        PluginProbeResult probe = new PluginDiscovery(TimeProvider.System).ExaminePath(commandLine.GetValue(s_path)!);
        using PluginCatalog catalog = PluginCatalog.Of(probe);
        var results = new List<Result>();
        foreach (StrategyManifest strategy in probe.Manifest!.Strategies)
        {
            foreach (ConformanceCase conformance in CasesOf(strategy, catalog))
            {
                services.Logger.LogInformation("{Strategy}: {Case}", $"{strategy.Kind.Label()} '{strategy.Id}'", conformance.Name);
                results.Add(Try(strategy, conformance, settings));
            }
        }

        if (commandLine.GetValue(services.Json)) services.Output.WriteJson(ToJson(probe, settings, results));
        else Write(results, services.Output);
        return results.Exists(result => result.Outcome == Outcome.Failed) ? ExitCodes.Failed : ExitCodes.Done;
    }

    private static IReadOnlyList<ConformanceCase> CasesOf(StrategyManifest strategy, PluginCatalog catalog)
    {
        if (strategy.Unsafe is { } reason) return [new ConformanceCase("the contract", _ => throw new DoesNotApplyException($"it is unsafe by design: {reason}"))];
        object? options = strategy.Kind == StrategyKind.Medium ? null : new PipelineVariants(catalog).FirstOptions(strategy.Kind, strategy.Id);
        return strategy.Kind switch
        {
            StrategyKind.Ordering => OrderingPrimitiveCases.For(new Tested<IOrderingPrimitive>(strategy.Id, catalog.Get<IOrderingPrimitive>(strategy.Id), options)),
            StrategyKind.Journal => MetadataJournalCases.For(new Tested<IMetadataJournal>(strategy.Id, catalog.Get<IMetadataJournal>(strategy.Id), options)),
            StrategyKind.Format => CasesOf(new Tested<IBlockFormat>(strategy.Id, catalog.Get<IBlockFormat>(strategy.Id), options)),
            _ => [new ConformanceCase("the contract of media", _ => throw new DoesNotApplyException("there are no tests of media yet"))],
        };
    }

    private static IReadOnlyList<ConformanceCase> CasesOf(Tested<IBlockFormat> format) => FileTreeCases.ApplyTo(format) ? FileTreeCases.For(format) : BlockFormatCases.For(format);

    private static Result Try(StrategyManifest strategy, ConformanceCase conformance, ConformanceSettings settings)
    {
        long start = Stopwatch.GetTimestamp();
        (Outcome outcome, string why) = (Outcome.Passed, "");
        try
        {
            conformance.Run(settings);
        }
        catch (DoesNotApplyException reason)
        {
            (outcome, why) = (Outcome.Skipped, reason.Message);
        }
        catch (ConformanceException broken)
        {
            (outcome, why) = (Outcome.Failed, broken.Message);
        }
        catch (Exception unexpected)
        {
            // Whatever a stranger's code throws is an answer.
            (outcome, why) = (Outcome.Failed, $"{unexpected.GetType().Name}: {unexpected.Message}");
        }

        return new Result(strategy.Kind, strategy.Id, conformance.Name, outcome, why, Stopwatch.GetElapsedTime(start));
    }

    private static void Write(List<Result> results, CommandOutput output)
    {
        output.WriteTable(
            ["", "strategy", "what holds", "time"],
            results.Select(result => (IReadOnlyList<Cell>)
            [
                result.Outcome switch { Outcome.Passed => new Cell("✓", Cell.Good), Outcome.Failed => new Cell("✗", Cell.Bad), _ => new Cell("-", Cell.Caution) },
                $"{result.Kind.Label()} {result.Id}",
                result.Outcome == Outcome.Skipped ? $"{result.Name} (skipped: {result.Why})" : result.Name,
                string.Create(CultureInfo.InvariantCulture, $"{result.Time.TotalSeconds:0.00}s"),
            ]));
        foreach (Result failed in results.Where(result => result.Outcome == Outcome.Failed))
        {
            output.WriteLine();
            output.WriteLine($"✗ {failed.Kind.Label()} {failed.Id}: {failed.Name}");
            foreach (string line in failed.Why.Split('\n')) output.WriteLine($"  {line}");
        }

        output.WriteLine();
        output.WriteLine($"{Count(Outcome.Passed)} passed, {Count(Outcome.Failed)} failed, {Count(Outcome.Skipped)} skipped");
        int Count(Outcome outcome) => results.Count(result => result.Outcome == outcome);
    }

    private static object ToJson(PluginProbeResult probe, ConformanceSettings settings, List<Result> results) => new
    {
        Plugin = probe.Manifest!.Name,
        Version = probe.Manifest.Version.ToString(),
        settings.Seed,
        Passed = results.Count(result => result.Outcome == Outcome.Passed),
        Failed = results.Count(result => result.Outcome == Outcome.Failed),
        Skipped = results.Count(result => result.Outcome == Outcome.Skipped),
        Cases = results.Select(result => new { result.Kind, result.Id, result.Name, result.Outcome, result.Why, Seconds = Math.Round(result.Time.TotalSeconds, 3) }),
    };

    private enum Outcome
    {
        Passed,
        Failed,
        Skipped,
    }

    private sealed record Result(StrategyKind Kind, string Id, string Name, Outcome Outcome, string Why, TimeSpan Time);
}
