namespace StoragePlugins.PmFileSystem;

/// <summary>Errors of the tree as the exceptions that .NET programs know.</summary>
internal static class FileErrors
{
    public static void ThrowIf(FileError error, string operation, string path)
    {
        if (error != FileError.None) throw Exception(error, operation, path);
    }

    private static IOException Exception(FileError error, string operation, string path) => error switch
    {
        FileError.NotFound or FileError.Stale => new FileNotFoundException($"{operation} of '{path}': there is no such file.", path),
        FileError.NotDirectory => new DirectoryNotFoundException($"{operation} of '{path}': a part of it is no directory."),
        FileError.NameTooLong => new PathTooLongException($"{operation} of '{path}': a name has more than 255 bytes."),
        FileError.NoSpace => new StorageException(StorageError.NoSpace, operation, path, -1, 0, "the file system is full"),
        FileError.ReadOnly => new StorageException(StorageError.ReadOnly, operation, path, -1, 0, "it was opened read-only"),
        FileError.FileTooLarge => new StorageException(StorageError.InvalidRange, operation, path, -1, 0, "beyond the largest file"),
        FileError.Exists => new IOException($"{operation} of '{path}': the name is taken."),
        FileError.NotEmpty => new IOException($"{operation} of '{path}': the directory is not empty."),
        FileError.IsDirectory => new IOException($"{operation} of '{path}': it is a directory."),
        _ => new IOException($"{operation} of '{path}': {error}."),
    };
}
