using System.Security.Cryptography;

namespace StoragePlugins.BarrierOverheadBench;

/// <summary>What is done to each volume, a piece at a time. An operation is a write of a record and what makes it durable.</summary>
/// <param name="name">As the tables call it.</param>
/// <param name="description">One sentence.</param>
internal abstract class Load(string name, string description)
{
    /// <summary>The papers' record.</summary>
    public const int RecordBytes = 64 << 10;

    /// <summary>Records of a file or area that is overwritten: 256 MiB.</summary>
    protected const int AreaRecords = 4096;

    /// <summary>A record's bytes; random, so that nothing below can take them for zeros.</summary>
    protected static byte[] Record { get; } = RandomNumberGenerator.GetBytes(RecordBytes);

    /// <summary>As the tables call it.</summary>
    public string Name => name;

    /// <summary>One sentence.</summary>
    public string Description => description;

    /// <summary>Prepares a volume and returns what does one operation after the other there.</summary>
    public abstract IPreparedLoad Prepare(Volume volume);

    /// <summary>Each record of the area once, in an order that is the same for all volumes.</summary>
    protected static long[] Shuffled()
    {
        long[] records = [.. Enumerable.Range(0, AreaRecords).Select(record => (long)record * RecordBytes)];
        new Random(AreaRecords).Shuffle(records);
        return records;
    }
}

/// <summary>A load on one volume.</summary>
internal interface IPreparedLoad : IDisposable
{
    /// <summary>Does operations; their time is taken outside.</summary>
    void Run(int operations);
}
