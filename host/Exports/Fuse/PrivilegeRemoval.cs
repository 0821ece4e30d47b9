namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>What a file has that a write, a cut or a new owner takes away.</summary>
[Flags]
internal enum FilePrivileges
{
    None = 0,

    /// <summary>setuid, or setgid together with the group's right to execute (without it, it means mandatory locking).</summary>
    SetId = 1,

    /// <summary>security.capability.</summary>
    Capability = 2,
}

/// <summary>
/// Takes setuid, setgid and capabilities away where the kernel would (FUSE_HANDLE_KILLPRIV_V2): the kernel leaves it to the server because only
/// a server can know without asking before every write.
/// </summary>
internal static class PrivilegeRemoval
{
    /// <summary>The extended attribute of file capabilities.</summary>
    public static ReadOnlySpan<byte> CapabilityName => "security.capability"u8;

    /// <summary>The mode after removal.</summary>
    public static uint Without(uint mode) =>
        (mode & FuseProtocol.GroupExecute) != 0 ? mode & ~(FuseProtocol.SetUserId | FuseProtocol.SetGroupId) : mode & ~FuseProtocol.SetUserId;

    /// <summary>What a file has.</summary>
    public static FilePrivileges Inspect(IFileTree tree, ulong node)
    {
        FilePrivileges found = FilePrivileges.None;
        if (tree.GetAttributes(node, out NodeAttributes attributes) == FileError.None && attributes.Kind == NodeKind.File && Without(attributes.Mode) != attributes.Mode)
            found |= FilePrivileges.SetId;
        if (tree.GetExtendedAttribute(node, CapabilityName, default, out _) == FileError.None) found |= FilePrivileges.Capability;
        return found;
    }

    /// <summary>Takes away what the file has of these.</summary>
    public static FileError Remove(IFileTree tree, ulong node, FilePrivileges which)
    {
        if ((which & FilePrivileges.Capability) != 0)
        {
            FileError removed = tree.RemoveExtendedAttribute(node, CapabilityName);
            if (removed is not (FileError.None or FileError.NoAttribute)) return removed;
        }

        if ((which & FilePrivileges.SetId) == 0) return FileError.None;
        FileError error = tree.GetAttributes(node, out NodeAttributes attributes);
        if (error != FileError.None) return error;
        return Without(attributes.Mode) == attributes.Mode
            ? FileError.None
            : tree.SetAttributes(node, new AttributeChange { Permissions = Without(attributes.Mode) & FuseProtocol.PermissionMask }, out _);
    }
}
