using System.Globalization;

namespace StoragePlugins.PmFileSystemBench;

/// <summary>What an operation of pmfs writes: its data, once; the journal's records; the changes at home.</summary>
internal static class WrittenBytes
{
    private const long FileBytes = 16L << 20;

    public static IReadOnlyList<string> Measure(PmFileSystemVolume volume)
    {
        List<string> lines = ["", $"bytes written per operation by pmfs (its own counts; {MatrixReport.Size(FileBytes)} files; data is written once, in place)",
            $"  {"record",8}{"pass",14}{"data",12}{"journal",10}{"home",10}{"records",10}{"overhead",10}"];
        foreach (int record in (int[])[4 << 10, 64 << 10, 1 << 20])
        {
            byte[] data = new byte[record];
            using (IBenchFile file = volume.Create("written", synchronous: true))
            {
                foreach (Pass pass in (Pass[])[Pass.Write, Pass.Rewrite]) lines.Add(Line(volume, file, pass, data));
            }

            volume.Delete("written");
        }

        return lines;
    }

    private static string Line(PmFileSystemVolume volume, IBenchFile file, Pass pass, byte[] data)
    {
        (long records, long journal, long home) = volume.Written();
        for (long offset = 0; offset < FileBytes; offset += data.Length) file.Write(offset, data);
        (long recordsAfter, long journalAfter, long homeAfter) = volume.Written();
        double operations = (double)FileBytes / data.Length;
        double journaled = (journalAfter - journal) / operations, stored = (homeAfter - home) / operations;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"  {MatrixReport.Size(data.Length),8}{MatrixFigures.Name(pass),14}{data.Length,12}{journaled,10:0.0}{stored,10:0.0}{(recordsAfter - records) / operations,10:0.000}{(journaled + stored) / data.Length,10:0.00%}");
    }
}
