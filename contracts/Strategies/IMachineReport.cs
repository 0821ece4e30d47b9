namespace StoragePlugins;

/// <summary>
/// Optional, beside a strategy's own contract: it says what it would do on this machine, so that nobody has to open an image to find out.
/// </summary>
/// <remarks><c>sphost plugins show ID</c> prints it. Harmless by contract: it reads what the system says of itself, opens no image, writes
/// nothing, and makes no call that could change anything.</remarks>
public interface IMachineReport
{
    /// <summary>What it found and decided, for people, most important first.</summary>
    /// <remarks>Control plane; called once per report, on any thread. What cannot be found out is said in a line, not thrown.</remarks>
    IReadOnlyList<MachineFact> DescribeMachine();
}

/// <summary>One line of an <see cref="IMachineReport"/>.</summary>
/// <param name="Name">What it is about, unique in the report: "auto", "kernel".</param>
/// <param name="Value">The finding and its reason, one line.</param>
public sealed record MachineFact(string Name, string Value);
