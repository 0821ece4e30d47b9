namespace StoragePlugins.Host.Evaluation.Workloads;

/// <summary>A database on a volume with YCSB's table; every statement is a transaction that is durable when it returns.</summary>
internal interface IKeyValueDatabase : IDisposable
{
    /// <summary>Inserts records, all in one transaction: for preparing.</summary>
    void Load(IEnumerable<(string Key, byte[][] Fields)> records);

    /// <summary>Inserts a record.</summary>
    void Insert(string key, byte[][] fields);

    /// <summary>Sets one field of a record.</summary>
    void Update(string key, int field, byte[] value);
}
