using System.Text.Json;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>fio over its NBD engine and over files.</summary>
internal static class Fio
{
    /// <summary>Runs a job on an NBD URI; fio must exit with 0.</summary>
    /// <returns>The job's part of fio's report.</returns>
    public static JsonElement Nbd(string uri, params string[] options) => Run(["--ioengine=nbd", $"--uri={uri}", .. options]);

    /// <summary>Runs a job on a file; fio must exit with 0.</summary>
    public static JsonElement File(string path, params string[] options) => Run(["--ioengine=psync", $"--filename={path}", .. options]);

    private static JsonElement Run(string[] options)
    {
        string folder = Path.GetTempPath(); // fio leaves verify state files where it runs
        ToolResult result = Tool.RunIn(folder, null, "fio", ["--name=job", "--output-format=json", "--group_reporting", "--verify_state_save=0", .. options]).Expect(0);
        JsonElement job = JsonDocument.Parse(result.Output[result.Output.IndexOf('{', StringComparison.Ordinal)..]).RootElement.GetProperty("jobs")[0];
        Assert.True(job.GetProperty("error").GetInt32() == 0, result.Text);
        return job;
    }
}
