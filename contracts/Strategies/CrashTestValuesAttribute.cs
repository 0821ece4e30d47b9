namespace StoragePlugins;

/// <summary>
/// Values that the crash kit tries for an option that a pipeline leaves open, written as on a command line ("4K", "true"). Small tables and
/// small logs make states small and wrap early: the kit gets through more of them, and more of what matters happens in each.
/// </summary>
/// <param name="values">At least one; the first is used most.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class CrashTestValuesAttribute(params string[] values) : Attribute
{
    /// <summary>The values.</summary>
    public IReadOnlyList<string> Values { get; } = values;
}
