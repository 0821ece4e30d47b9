using StoragePlugins.Host.Evaluation.Results;

namespace StoragePlugins.Host.Evaluation;

/// <summary>The papers' figures beside those of a run.</summary>
internal static class PaperComparison
{
    /// <summary>All figures of both papers; those that were not measured stand without ours.</summary>
    public static IReadOnlyList<PaperFigure> Of(IReadOnlyList<EvaluationRow> rows) => [];
}
