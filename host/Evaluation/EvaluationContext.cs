using Microsoft.Extensions.Logging;
using StoragePlugins.Host.Comparison;
using StoragePlugins.Host.Evaluation.Children;
using StoragePlugins.Host.Evaluation.Results;
using StoragePlugins.Host.Evaluation.VirtualMachine;
using StoragePlugins.Host.Pipelines;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Evaluation;

/// <summary>What all places are made with.</summary>
internal sealed record EvaluationContext
{
    /// <summary>Makes and opens images in this process.</summary>
    public required PipelineComposer Composer { get; init; }

    /// <summary>Folders; everything of a run lies in them, and every child of the run has one of them in its command line.</summary>
    public required EvaluationScratch Scratch { get; init; }

    /// <summary>QEMU's programs.</summary>
    public required QemuTools Tools { get; init; }

    /// <summary>Children that are this very program.</summary>
    public required OwnProgram Self { get; init; }

    /// <summary>What strategies and children say, each once.</summary>
    public required NoteCollector Notes { get; init; }

    /// <summary>The simulated device of <see cref="DeviceRegime.SlowFlush"/>.</summary>
    public required StrategyUse SlowDevice { get; init; }

    /// <summary>How large everything is.</summary>
    public required EvaluationScale Scale { get; init; }

    /// <summary>What the user says of the virtual machine.</summary>
    public VirtualMachineOptions Machine { get; init; } = new(Kernel: null, Accelerator: null);

    /// <summary>Notes as a logger.</summary>
    public ILogger Logger => Notes;

    /// <summary>A pipeline as it is measured in a regime.</summary>
    public PipelineDefinition Timed(PipelineDefinition pipeline, DeviceRegime regime) => PipelineContender.On(regime == DeviceRegime.SlowFlush ? SlowDevice : null, pipeline);
}
