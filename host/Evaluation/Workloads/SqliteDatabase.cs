using System.Runtime.InteropServices;

namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>SQLite, the system's own library, with a write-ahead log and <c>synchronous=FULL</c>: each commit syncs the log.</summary>
internal sealed unsafe partial class SqliteDatabase : IKeyValueDatabase
{
    private const string Library = "libsqlite3.so.0";
    private const int Ok = 0, Row = 100, Done = 101;
    private const int OpenReadWrite = 2, OpenCreate = 4;

    private readonly string _path;
    private nint _database;
    private nint _insert;
    private readonly nint[] _updates = new nint[YcsbWorkload.Fields];

    private SqliteDatabase(string path) => _path = path;

    /// <summary>As an engine.</summary>
    public static DatabaseEngine Engine { get; } = new("sqlite", "SQLite", "SQLite by the system's library, journal_mode=WAL, synchronous=FULL", IsCheap: true, FixedBytes: 8 << 20, WhyNot, (path, _) => Create(path + ".db"));

    /// <summary>The library's version; null without it.</summary>
    public static string? Version => WhyNot() is null ? Marshal.PtrToStringUTF8(LibraryVersion()) : null;

    /// <summary>Makes a database with YCSB's table.</summary>
    public static SqliteDatabase Create(string path)
    {
        var database = new SqliteDatabase(path);
        try
        {
            database.Require(Open(path, out database._database, OpenReadWrite | OpenCreate, 0));
            database.Run("PRAGMA journal_mode=WAL");
            database.Run("PRAGMA synchronous=FULL");
            string[] fields = [.. Enumerable.Range(0, YcsbWorkload.Fields).Select(field => $"field{field}")];
            database.Run($"CREATE TABLE usertable (ycsb_key TEXT PRIMARY KEY, {string.Join(", ", fields.Select(field => field + " BLOB"))}) WITHOUT ROWID");
            database._insert = database.Prepare($"INSERT INTO usertable VALUES ({string.Join(", ", Enumerable.Repeat("?", fields.Length + 1))})");
            for (int field = 0; field < fields.Length; field++) database._updates[field] = database.Prepare($"UPDATE usertable SET {fields[field]} = ? WHERE ycsb_key = ?");
            return database;
        }
        catch
        {
            database.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Load(IEnumerable<(string Key, byte[][] Fields)> records)
    {
        Run("BEGIN");
        foreach ((string key, byte[][] fields) in records) Insert(key, fields);
        Run("COMMIT");
        // What was loaded is in the database, not in the log that is timed.
        Run("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// <inheritdoc/>
    public void Insert(string key, byte[][] fields)
    {
        Bind(_insert, 1, key);
        for (int field = 0; field < fields.Length; field++) Bind(_insert, field + 2, fields[field]);
        Step(_insert);
    }

    /// <inheritdoc/>
    public void Update(string key, int field, byte[] value)
    {
        Bind(_updates[field], 1, value);
        Bind(_updates[field], 2, key);
        Step(_updates[field]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = FinalizeStatement(_insert);
        foreach (nint update in _updates) _ = FinalizeStatement(update);
        _ = Close(_database);
        _database = 0;
    }

    private static string? WhyNot()
    {
        if (!NativeLibrary.TryLoad(Library, out nint handle)) return $"{Library} is not installed";
        NativeLibrary.Free(handle);
        return null;
    }

    private nint Prepare(string sql)
    {
        Require(Prepare(_database, sql, -1, out nint statement, 0));
        return statement;
    }

    private void Run(string sql)
    {
        nint statement = Prepare(sql);
        try
        {
            int result;
            while ((result = StepOnce(statement)) == Row)
            {
            }

            if (result != Done) Require(result);
        }
        finally
        {
            _ = FinalizeStatement(statement);
        }
    }

    // -1, SQLITE_TRANSIENT: it takes a copy, for the buffer is pinned for this call only.
    private void Bind(nint statement, int index, byte[] value)
    {
        fixed (byte* data = value) Require(BindBlob(statement, index, data, value.Length, -1));
    }

    private void Bind(nint statement, int index, string value) => Require(BindText(statement, index, value, -1, -1));

    private void Step(nint statement)
    {
        int result = StepOnce(statement);
        _ = Reset(statement);
        if (result != Done) Require(result);
    }

    private void Require(int result)
    {
        if (result == Ok) return;
        string? reason = _database == 0 ? null : Marshal.PtrToStringUTF8(ErrorMessage(_database));
        throw new DiagnosticException("SP4202", "the program failed", $"SQLite, {_path}", found: reason ?? $"error {result}", fix: "leave it out with --workload");
    }

    [LibraryImport(Library, EntryPoint = "sqlite3_open_v2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, out nint database, int flags, nint vfs);

    [LibraryImport(Library, EntryPoint = "sqlite3_close_v2")]
    private static partial int Close(nint database);

    [LibraryImport(Library, EntryPoint = "sqlite3_prepare_v2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Prepare(nint database, string sql, int bytes, out nint statement, nint tail);

    [LibraryImport(Library, EntryPoint = "sqlite3_bind_blob")]
    private static partial int BindBlob(nint statement, int index, byte* data, int bytes, nint copy);

    [LibraryImport(Library, EntryPoint = "sqlite3_bind_text", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int BindText(nint statement, int index, string text, int bytes, nint copy);

    [LibraryImport(Library, EntryPoint = "sqlite3_step")]
    private static partial int StepOnce(nint statement);

    [LibraryImport(Library, EntryPoint = "sqlite3_reset")]
    private static partial int Reset(nint statement);

    [LibraryImport(Library, EntryPoint = "sqlite3_finalize")]
    private static partial int FinalizeStatement(nint statement);

    [LibraryImport(Library, EntryPoint = "sqlite3_errmsg")]
    private static partial nint ErrorMessage(nint database);

    [LibraryImport(Library, EntryPoint = "sqlite3_libversion")]
    private static partial nint LibraryVersion();
}
