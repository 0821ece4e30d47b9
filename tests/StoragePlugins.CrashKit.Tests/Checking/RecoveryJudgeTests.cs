using StoragePlugins.CrashKit.Checking;
using StoragePlugins.CrashKit.Exploring;
using StoragePlugins.CrashKit.Models;
using StoragePlugins.CrashKit.Runs;
using StoragePlugins.CrashKit.Tests.Stories;

namespace StoragePlugins.CrashKit.Tests.Checking;

public sealed class RecoveryJudgeTests
{
    [Fact]
    public void A_state_that_was_sound_after_one_power_cut_is_judged_again_when_it_takes_two()
    {
        CrashFailure failure = BrokenStrategies.FailureOf(BrokenStrategies.Journaled(new WithoutSyncInRecovery()), found => found.Tier == Tier.Recovery);
        (BrokenState state, SecondCut second) = (failure.State!, failure.State!.Second!);
        var ledger = new StateLedger();
        // As if each state that the second power cut can leave had been seen after a first one, and was sound then.
        Assert.Empty(new StateExplorer(second.Start, second.Trace, failure.Settings, ledger)
            .Explore([], _ => failure.Run!.History.ObligationAt(state.Tick), (_, _, _) => { }, new Random(1), default));
        var judge = new PipelineJudge(failure.Pipeline, failure.Run!, failure.Settings, ledger, JudgeDepth.Bare with { RecoveryEvery = 1 }, new Random(1), default);
        var cursor = new TraceCursor(failure.Run!.Start, failure.Run.Trace, failure.Settings.Model, failure.Settings.AtomBytes);
        cursor.MoveTo(state.Tick);

        Assert.NotNull(StateExplorer.Try(cursor.Here(), state.Choice, state.Tier, judge.Judge)?.Second);
    }
}
