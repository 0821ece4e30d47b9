namespace StoragePlugins.CrashKit.Contracts;

/// <summary>One thing that a strategy's contract promises, as a test without a framework.</summary>
/// <param name="Name">Words that say what holds.</param>
/// <param name="Run">Throws <see cref="ConformanceException"/> when it does not hold, <see cref="DoesNotApplyException"/> when it cannot be asked.</param>
public sealed record ConformanceCase(string Name, Action<ConformanceSettings> Run);

/// <summary>How cases are run.</summary>
public sealed record ConformanceSettings
{
    /// <summary>The same seed gives the same workloads.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Time for a case that explores crash states.</summary>
    public TimeSpan Budget { get; init; } = TimeSpan.FromSeconds(3);
}

/// <summary>A promise is broken; the message says how it was seen.</summary>
public sealed class ConformanceException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The strategy, or its options, leave nothing to ask here.</summary>
public sealed class DoesNotApplyException(string message) : Exception(message);

/// <summary>How cases say what they expect.</summary>
internal static class Expect
{
    public static void That(bool holds, string otherwise)
    {
        if (!holds) throw new ConformanceException(otherwise);
    }

    /// <summary>Requires an exception of this type, and no other.</summary>
    public static T Throws<T>(Action action, string what) where T : Exception
    {
        try
        {
            action();
        }
        catch (T expected)
        {
            return expected;
        }
        catch (Exception other)
        {
            throw new ConformanceException($"{what}: expected {typeof(T).Name}, got {other.GetType().Name}: {other.Message}", other);
        }

        throw new ConformanceException($"{what}: expected {typeof(T).Name}, and nothing was thrown");
    }
}
