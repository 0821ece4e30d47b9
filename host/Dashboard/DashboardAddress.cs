using System.Net;

namespace StoragePlugins.Host.Dashboard;

/// <summary>Where the dashboard listens.</summary>
/// <param name="EndPoint">Address and port; port 0 for one that the system chooses.</param>
internal sealed record DashboardAddress(IPEndPoint EndPoint)
{
    /// <summary>Only this machine reaches it.</summary>
    public bool IsLoopback => IPAddress.IsLoopback(EndPoint.Address);

    /// <summary>"9464", ":9464" and "localhost:9464" mean loopback; any other host is an address.</summary>
    /// <param name="text">As written.</param>
    /// <param name="mayBeRemote">Whether an address that others reach may be named.</param>
    /// <exception cref="DiagnosticException">SP4241: it makes no sense. SP4242: others would reach it.</exception>
    public static DashboardAddress Parse(string text, bool mayBeRemote)
    {
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "" : text[..colon].Trim('[', ']');
        IPAddress? ip = host is "" or "localhost" ? IPAddress.Loopback : IPAddress.TryParse(host, out IPAddress? parsed) ? parsed : null;
        if (ip is null || !ushort.TryParse(text[(colon + 1)..], out ushort port))
            throw new DiagnosticException("SP4241", "the dashboard's address makes no sense", "--dashboard", "PORT or ADDRESS:PORT, such as 127.0.0.1:9464", $"'{text}'");
        var address = new DashboardAddress(new IPEndPoint(ip, port));
        if (address.IsLoopback || mayBeRemote) return address;
        throw new DiagnosticException(
            "SP4242", "other machines would reach the dashboard, which has no login and no encryption", "--dashboard", "a loopback address, such as 127.0.0.1", ip.ToString(),
            "reach it through ssh -L, or say --dashboard-remote too");
    }

    /// <summary>
    /// Whether a request that names this host may be answered. A page of somebody else's can point a name of its own at this machine and would then read what
    /// we answer (DNS rebinding); an address cannot be pointed anywhere. The port does not matter: it differs where it is forwarded.
    /// </summary>
    /// <param name="host">The value of the header Host.</param>
    public static bool IsTrustedHost(string host)
    {
        string name = host;
        int colon = host.LastIndexOf(':');
        if (colon > host.LastIndexOf(']'))
        {
            if (!ushort.TryParse(host.AsSpan(colon + 1), out _)) return false;
            name = host[..colon];
        }

        return name.Equals("localhost", StringComparison.OrdinalIgnoreCase) || IPAddress.TryParse(name.Trim('[', ']'), out _);
    }
}
