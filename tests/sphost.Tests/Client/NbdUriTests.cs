using StoragePlugins.Client;

namespace StoragePlugins.Host.Tests.Client;

public class NbdUriTests
{
    [Theory]
    [InlineData("nbd://localhost", "localhost", 10809, null, "")]
    [InlineData("nbd://localhost/", "localhost", 10809, null, "")]
    [InlineData("nbd://127.0.0.1:1234/a%20disk", "127.0.0.1", 1234, null, "a disk")]
    [InlineData("nbd://[::1]:99/x/y", "::1", 99, null, "x/y")]
    [InlineData("nbd://user@host:/x", "host", 10809, null, "x")]
    [InlineData("nbd+unix:///?socket=/run/s", null, 0, "/run/s", "")]
    [InlineData("nbd+unix:///disk?other=1&socket=/a%20b/s", null, 0, "/a b/s", "disk")]
    [InlineData("nbd+unix://?socket=rel", null, 0, "rel", "")]
    public void A_URI_says_where_an_export_is(string uri, string? host, int port, string? socket, string export)
    {
        NbdUri parsed = NbdUri.Parse(uri);
        Assert.Equal(new NbdUri(host, port, socket, export), parsed);
        Assert.Equal(parsed, NbdUri.Parse(parsed.ToString()));
    }

    [Theory]
    [InlineData("", "begins with")]
    [InlineData("http://host/", "begins with")]
    [InlineData("nbds://host/", "TLS")]
    [InlineData("nbd+unix:///disk", "?socket=")]
    [InlineData("nbd+unix://host/?socket=/s", "host")]
    [InlineData("nbd:///disk", "host")]
    [InlineData("nbd://host:0/", "port")]
    [InlineData("nbd://host:65536/", "port")]
    [InlineData("nbd://host:12x/", "port")]
    public void What_is_no_URI_is_refused_with_the_reason(string uri, string reason) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => NbdUri.Parse(uri)).Message, StringComparison.Ordinal);
}
