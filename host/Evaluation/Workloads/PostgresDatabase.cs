using System.Net.Sockets;
using System.Text;
using StoragePlugins.Host.Evaluation.Children;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>PostgreSQL with its defaults, in a cluster of its own on the volume, run by the user postgres, for it refuses to be run by root.</summary>
/// <remarks>Its socket has no file, and lets in nobody but the user of this process, whom it knows by the kernel ("peer").</remarks>
internal sealed class PostgresDatabase : IKeyValueDatabase
{
    private const string User = "postgres";

    // An empty cluster and its write-ahead log.
    private const long ClusterBytes = 128 << 20;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    private readonly ServerProcess _server;
    private readonly PostgresConnection _connection;

    private PostgresDatabase(ServerProcess server, PostgresConnection connection) => (_server, _connection) = (server, connection);

    /// <summary>As an engine.</summary>
    public static DatabaseEngine Engine { get; } = new(
        "postgresql", "PostgreSQL", "PostgreSQL with its defaults (fsync, synchronous_commit, full_page_writes on), prepared statements over its socket, fields stored as they are (STORAGE EXTERNAL)",
        IsCheap: false, ClusterBytes, WhyNot, Create);

    /// <inheritdoc/>
    public void Load(IEnumerable<(string Key, byte[][] Fields)> records)
    {
        _connection.Run("BEGIN");
        foreach ((string key, byte[][] fields) in records) Insert(key, fields);
        _connection.Run("COMMIT");
        _connection.Run("CHECKPOINT");
    }

    /// <inheritdoc/>
    public void Insert(string key, byte[][] fields) => _connection.Execute("insert", [Encoding.UTF8.GetBytes(key), .. fields]);

    /// <inheritdoc/>
    public void Update(string key, int field, byte[] value) => _connection.Execute($"update{field}", value, Encoding.UTF8.GetBytes(key));

    /// <inheritdoc/>
    public void Dispose()
    {
        _connection.Dispose();
        try
        {
            _server.Stop(ServerProcess.Interrupt);
        }
        finally
        {
            _server.Dispose();
        }
    }

    private static string? WhyNot()
    {
        if (Programs.FirstMissing("postgres", "initdb", "setpriv", "chown") is { } missing) return $"{missing} is not installed";
        return File.ReadLines("/etc/passwd").Any(line => line.StartsWith(User + ":", StringComparison.Ordinal)) ? null : $"there is no user {User}";
    }

    private static PostgresDatabase Create(string folder, CancellationToken cancel)
    {
        Directory.CreateDirectory(folder);
        Programs.Run("chown", [User, folder], Programs.ShortLimit, cancel);
        string me = Environment.UserName;
        // What is made here reaches the disk before the clock starts, by syncfs.
        Programs.Run("setpriv", AsUser("initdb", "-D", folder, "-U", me, "--auth-local=peer", "--auth-host=reject", "--no-sync", "--no-locale", "-E", "UTF8"), s_limit, cancel, folder: "/");
        string name = $"sphost-{Guid.NewGuid():N}";
        ServerProcess server = ServerProcess.Start("setpriv", AsUser(
            "postgres", "-D", folder, "-c", "listen_addresses=", "-c", $"unix_socket_directories=@{name}", "-c", "dynamic_shared_memory_type=mmap", "-c", "log_min_messages=error"), folder: "/");
        try
        {
            PostgresConnection? connection = null;
            server.WaitUntil(_ => (connection = TryConnect(name, me)) is not null, cancel);
            connection!.Run($"CREATE TABLE usertable (ycsb_key text PRIMARY KEY, {Fields(field => $"field{field} bytea")})");
            connection.Run($"ALTER TABLE usertable {Fields(field => $"ALTER field{field} SET STORAGE EXTERNAL")}");
            connection.Prepare("insert", $"INSERT INTO usertable VALUES ($1, {Fields(field => $"${field + 2}")})");
            for (int field = 0; field < YcsbWorkload.Fields; field++) connection.Prepare($"update{field}", $"UPDATE usertable SET field{field} = $1 WHERE ycsb_key = $2");
            return new PostgresDatabase(server, connection);
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    private static string Fields(Func<int, string> of) => string.Join(", ", Enumerable.Range(0, YcsbWorkload.Fields).Select(of));

    private static string[] AsUser(string program, params string[] arguments) => [$"--reuid={User}", $"--regid={User}", "--clear-groups", Programs.Find(program)!, .. arguments];

    private static PostgresConnection? TryConnect(string name, string user)
    {
        try
        {
            // A leading zero: a name that is not in the file system.
            return PostgresConnection.Connect(new UnixDomainSocketEndPoint($"\0{name}/.s.PGSQL.5432"), user);
        }
        catch (Exception notYet) when (notYet is SocketException || (notYet is DiagnosticException { Message: var text } && text.Contains("starting up", StringComparison.Ordinal)))
        {
            return null;
        }
    }
}
