using StoragePlugins.Host.Evaluation.Workloads;

namespace StoragePlugins.Host.Evaluation.Places;

/// <summary>A volume with files that are written record by record.</summary>
internal interface IRecordVolume : IVolume
{
    /// <summary>Makes a file and opens it.</summary>
    IRecordFile Create(string name);

    /// <summary>Deletes a file.</summary>
    void Delete(string name);
}
