using System.Globalization;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>Random writes, zeroings and discards as qemu-io commands, for a served disk and for the raw file that it is judged by.</summary>
/// <remarks>
/// What a discarded range reads as is open until it is written again: its old bytes or zeroes. The raw file keeps the old bytes, and
/// <see cref="Settle"/> accepts the zeroes.
/// </remarks>
internal sealed class GuestWrites(long diskSize, int seed)
{
    private const int LargestWrite = 512 << 10;

    /// <summary>Discards are larger than writes, so that they reach whole clusters of 2 MiB.</summary>
    private const int LargestDiscard = 6 << 20;

    private readonly Random _random = new(seed);
    private readonly bool[] _discarded = new bool[diskSize];

    /// <summary>Writes to both.</summary>
    public void Run(string uri, string reference, int count)
    {
        var served = new List<string>();
        var raw = new List<string>();
        for (int i = 0; i < count; i++)
        {
            (string command, bool isForRaw) = Next();
            served.Add(command);
            if (isForRaw) raw.Add(command);
        }

        served.Add("flush");
        Qemu.Io("raw", uri, [.. served]);
        Qemu.Io("raw", reference, [.. raw]);
    }

    /// <summary>Requires that a copy of the served disk is the reference except for discarded bytes that are now zero, and notes those in the reference.</summary>
    public void Settle(string copy, string reference)
    {
        byte[] actual = File.ReadAllBytes(copy), expected = File.ReadAllBytes(reference);
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < actual.Length; i++)
        {
            if (actual[i] == expected[i]) continue;
            Assert.True(_discarded[i] && actual[i] == 0, $"byte {i} is {actual[i]}, expected {expected[i]}{(_discarded[i] ? " or 0" : "")}");
        }

        File.WriteAllBytes(reference, actual);
        Array.Clear(_discarded);
    }

    private (string Command, bool IsForRaw) Next()
    {
        int kind = _random.Next(100);
        if (kind < 6) return ("flush", false);
        (long offset, int length) = Range(kind is >= 6 and < 18 ? LargestDiscard : LargestWrite);
        if (kind < 18)
        {
            Array.Fill(_discarded, true, (int)offset, length);
            return (Command("discard", offset, length), false);
        }

        Array.Fill(_discarded, false, (int)offset, length);
        string verb = kind switch
        {
            < 26 => "write -z",
            < 34 => "write -z -u",
            < 46 => $"write -f -P {_random.Next(1, 256)}",
            _ => $"write -P {_random.Next(1, 256)}",
        };
        return (Command(verb, offset, length), true);
    }

    /// <summary>Lengths of every magnitude; a third of the ranges begin and end on 4 KiB, as a guest's file system writes.</summary>
    private (long Offset, int Length) Range(int largest)
    {
        int length = (int)Math.Exp(_random.NextDouble() * Math.Log(largest));
        long offset = _random.NextInt64(diskSize - length);
        return _random.Next(3) == 0 ? (offset & ~4095L, Math.Max(length & ~4095, 4096)) : (offset, Math.Max(length, 1));
    }

    private static string Command(string verb, long offset, int length) => string.Create(CultureInfo.InvariantCulture, $"{verb} {offset} {length}");
}
