namespace StoragePlugins.Authors.Tests;

/// <summary>Real data, by a real client, through a served disk and back, also after the host was started again.</summary>
internal static class RoundTrip
{
    private const int Bytes = 8 << 20;

    /// <summary>Runs the command twice in the folder.</summary>
    public static void Through(Shell shell, string folder, string serve)
    {
        string input = Path.Combine(folder, "input.bin"), output = Path.Combine(folder, "output.bin");
        byte[] data = new byte[Bytes];
        new Random(5).NextBytes(data);
        File.WriteAllBytes(input, data);
        using (var disk = new ServedDisk(shell, folder, serve))
        {
            shell.Run(folder, $"nbdcopy --flush {input} '{disk.Uri}'");
            disk.Stop();
        }

        using (var disk = new ServedDisk(shell, folder, serve))
        {
            shell.Run(folder, $"nbdcopy '{disk.Uri}' {output}");
            disk.Stop();
        }

        using FileStream back = File.OpenRead(output);
        byte[] read = new byte[Bytes];
        back.ReadExactly(read);
        Assert.True(read.AsSpan().SequenceEqual(data), "what was written does not read back");
        File.Delete(output);
    }
}
