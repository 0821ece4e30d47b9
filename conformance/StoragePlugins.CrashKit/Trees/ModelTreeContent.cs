using System.Text;

namespace StoragePlugins.CrashKit.Trees;

// The bytes of files, and extended attributes.
internal sealed partial class ModelTree
{
    public FileError Read(ulong node, long offset, Span<byte> buffer, out int read)
    {
        read = 0;
        lock (_gate)
        {
            FileError error = OpenFile(node, out ModelNode? file);
            if (error != FileError.None) return error;
            if (offset < 0) return FileError.InvalidArgument;
            read = (int)Math.Clamp(file!.Size - offset, 0, buffer.Length);
            file.Content.Read(offset, buffer[..read]);
            return FileError.None;
        }
    }

    public FileError Write(ulong node, long offset, ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            FileError error = OpenFile(node, out ModelNode? file);
            return error != FileError.None ? error : Write(file!, offset, data);
        }
    }

    public FileError Append(ulong node, ReadOnlySpan<byte> data, out long offset)
    {
        offset = 0;
        lock (_gate)
        {
            FileError error = OpenFile(node, out ModelNode? file);
            if (error != FileError.None) return error;
            offset = file!.Size;
            return Write(file, offset, data);
        }
    }

    public FileError Allocate(ulong node, AllocationMode mode, long offset, long length)
    {
        lock (_gate)
        {
            FileError error = OpenFile(node, out ModelNode? file);
            if (error != FileError.None) return error;
            if (offset < 0 || length <= 0) return FileError.InvalidArgument;
            if (offset > MostFileBytes - length) return FileError.FileTooLarge;
            if (IsReadOnly) return FileError.ReadOnly;
            if (mode == AllocationMode.Grow) file!.Size = Math.Max(file.Size, offset + length);
            else if (mode is AllocationMode.PunchHole or AllocationMode.ZeroRange) file!.Content.Clear(offset, length);
            else if (mode != AllocationMode.KeepSize) return FileError.InvalidArgument;
            file!.ModificationTime = file.ChangeTime = Now();
            Changed();
            return FileError.None;
        }
    }

    public FileError Seek(ulong node, long offset, bool forHole, out long found)
    {
        found = 0;
        lock (_gate)
        {
            FileError error = OpenFile(node, out ModelNode? file);
            if (error != FileError.None) return error;
            if (offset < 0 || offset >= file!.Size) return FileError.NoData;
            for (long at = offset; at < file.Size; at = (at / SparseContent.PageBytes + 1) * SparseContent.PageBytes)
            {
                bool isHole = !file.Content.Pages.ContainsKey(at / SparseContent.PageBytes);
                if (isHole == forHole)
                {
                    found = at;
                    return FileError.None;
                }

                if (!isHole || forHole) continue;
                long next = file.Content.Pages.Keys.FirstOrDefault(page => page * SparseContent.PageBytes > at, -1);
                if (next < 0) return FileError.NoData;
                at = (next - 1) * SparseContent.PageBytes;
            }

            found = file.Size;
            return forHole ? FileError.None : FileError.NoData;
        }
    }

    public FileError GetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, Span<byte> value, out int length)
    {
        length = 0;
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return FileError.Stale;
            if (!found.Attributes.TryGetValue(Encoding.Latin1.GetString(name), out byte[]? bytes)) return FileError.NoAttribute;
            length = bytes.Length;
            return value.IsEmpty || bytes.AsSpan().TryCopyTo(value) ? FileError.None : FileError.BufferTooSmall;
        }
    }

    public FileError SetExtendedAttribute(ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, AttributeMode mode)
    {
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return FileError.Stale;
            string key = Encoding.Latin1.GetString(name);
            bool isThere = found.Attributes.ContainsKey(key);
            if (IsReadOnly) return FileError.ReadOnly;
            if (isThere && mode == AttributeMode.Create) return FileError.Exists;
            if (!isThere && mode == AttributeMode.Replace) return FileError.NoAttribute;
            found.Attributes[key] = value.ToArray();
            found.ChangeTime = Now();
            Changed();
            return FileError.None;
        }
    }

    public FileError ListExtendedAttributes(ulong node, Span<byte> names, out int length)
    {
        length = 0;
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return FileError.Stale;
            byte[] all = Encoding.Latin1.GetBytes(string.Concat(found.Attributes.Keys.Select(key => key + "\0")));
            length = all.Length;
            return names.IsEmpty || all.AsSpan().TryCopyTo(names) ? FileError.None : FileError.BufferTooSmall;
        }
    }

    public FileError RemoveExtendedAttribute(ulong node, ReadOnlySpan<byte> name)
    {
        lock (_gate)
        {
            if (!_nodes.TryGetValue(node, out ModelNode? found)) return FileError.Stale;
            if (IsReadOnly) return FileError.ReadOnly;
            if (!found.Attributes.Remove(Encoding.Latin1.GetString(name))) return FileError.NoAttribute;
            found.ChangeTime = Now();
            Changed();
            return FileError.None;
        }
    }

    private FileError OpenFile(ulong node, out ModelNode? file)
    {
        if (!_nodes.TryGetValue(node, out file)) return FileError.Stale;
        return file.Kind switch { NodeKind.File => FileError.None, NodeKind.Directory => FileError.IsDirectory, _ => FileError.InvalidArgument };
    }

    private FileError Write(ModelNode file, long offset, ReadOnlySpan<byte> data)
    {
        if (offset < 0) return FileError.InvalidArgument;
        if (offset > MostFileBytes - data.Length) return FileError.FileTooLarge;
        if (IsReadOnly) return FileError.ReadOnly;
        if (data.IsEmpty) return FileError.None;
        file.Content.Write(offset, data);
        file.Size = Math.Max(file.Size, offset + data.Length);
        file.ModificationTime = file.ChangeTime = Now();
        Changed();
        return FileError.None;
    }
}
