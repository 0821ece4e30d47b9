namespace StoragePlugins.Host.Evaluation.Report.Charts;

/// <summary>How a contender looks in every chart: a colour of the style sheet, and a shape and a dash for those who do not see colours.</summary>
/// <param name="Class">The class that the style sheet colours.</param>
/// <param name="Shape">A path around (0, 0).</param>
/// <param name="Dash">Of its lines; null for whole ones.</param>
internal sealed record ContenderStyle(string Class, string Shape, string? Dash)
{
    /// <summary>Colours that report.css has for pipelines; from then on they return with other dashes.</summary>
    public const int PipelineColors = 7;

    /// <summary>Greys that it has for references.</summary>
    public const int ReferenceColors = 3;

    private static readonly string[] s_shapes =
    [
        "M0-4a4 4 0 1 0 .01 0z", "M-3.6-3.6h7.2v7.2h-7.2z", "M0-5 4.6 3.4h-9.2z", "M0-5.2 5.2 0 0 5.2-5.2 0z", "M0 5-4.6-3.4h9.2z", "M-1.6-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z", "M-5-2.2h10v4.4h-10z",
    ];

    private static readonly string?[] s_dashes = [null, "7 3", "2 3"];

    /// <summary>The style of the nth pipeline or the nth reference.</summary>
    public static ContenderStyle Of(int index, bool isReference) => isReference
        ? new($"r{index % ReferenceColors}", s_shapes[(index + 3) % s_shapes.Length], "5 3")
        : new($"c{index % PipelineColors}", s_shapes[index % s_shapes.Length], s_dashes[index / PipelineColors % s_dashes.Length]);
}
