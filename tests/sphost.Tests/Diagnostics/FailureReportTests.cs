using StoragePlugins.Host.Diagnostics;

namespace StoragePlugins.Host.Tests.Diagnostics;

public sealed class FailureReportTests
{
    [Fact]
    public void What_a_user_can_act_on_is_one_line_without_a_trace()
    {
        Assert.Equal("sphost: error SP1234: here: what (expected a, found b); fix", Line(new DiagnosticException("SP1234", "what", "here", "a", "b", "fix")));
        Assert.Equal("sphost: error SP5003: write of 3 bytes at 7 of 'disk' failed: no space", Line(new StorageException(StorageError.NoSpace, "write", "disk", 7, 3, "no space")));
    }

    [Fact]
    public void What_nobody_expected_is_one_line_that_says_how_to_see_more()
    {
        string line = Line(new InvalidOperationException("first\nsecond"));
        Assert.StartsWith("sphost: error SP9001: internal error: InvalidOperationException: first second;", line, StringComparison.Ordinal);
        Assert.Contains("STORAGEPLUGINS_TRACE=1", line, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_error_of_a_configuration_has_its_line()
    {
        var error = new StringWriter();
        var exception = new InvalidConfigurationException([Diagnostic.Error("SP2004", "one"), Diagnostic.Error("SP2005", "two")]);
        Assert.Equal(1, FailureReport.Write(exception, error));
        Assert.Equal("sphost: error SP2004: one\nsphost: error SP2005: two\n", error.ToString());
    }

    private static string Line(Exception exception)
    {
        var error = new StringWriter();
        Assert.Equal(1, FailureReport.Write(exception, error));
        return Assert.Single(error.ToString().TrimEnd().Split('\n'));
    }
}
