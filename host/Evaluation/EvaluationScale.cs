namespace StoragePlugins.Host.Evaluation;

/// <summary>How much is done.</summary>
internal enum EvaluationScale
{
    /// <summary>All places and workloads in less than three minutes.</summary>
    Quick = 0,

    /// <summary>Runs of seconds: figures that can be told apart on a machine that does other things as well.</summary>
    Standard,

    /// <summary>The sizes of the papers.</summary>
    Paper,
}

/// <summary>A quantity at each scale.</summary>
/// <param name="Quick">At <see cref="EvaluationScale.Quick"/>.</param>
/// <param name="Standard">At <see cref="EvaluationScale.Standard"/>.</param>
/// <param name="Paper">At <see cref="EvaluationScale.Paper"/>.</param>
internal readonly record struct Scaled(long Quick, long Standard, long Paper)
{
    /// <summary>The quantity at a scale.</summary>
    public long At(EvaluationScale scale) => scale switch
    {
        EvaluationScale.Quick => Quick,
        EvaluationScale.Standard => Standard,
        _ => Paper,
    };
}
