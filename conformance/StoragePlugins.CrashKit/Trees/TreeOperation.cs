namespace StoragePlugins.CrashKit.Trees;

/// <summary>What a program does to a tree.</summary>
public enum TreeAction
{
    Create = 0,
    MakeDirectory,
    SymbolicLink,

    /// <summary>A further name.</summary>
    Link,
    Remove,
    RemoveDirectory,

    /// <summary>Over what has the new name.</summary>
    Rename,

    /// <summary>Not over anything.</summary>
    RenameKeep,
    Exchange,
    Write,
    Append,

    /// <summary>To <see cref="TreeOperation.Offset"/> bytes.</summary>
    SetSize,
    Allocate,
    AllocateKeepSize,
    PunchHole,
    ZeroRange,
    ChangeMode,
    ChangeOwner,
    SetTimes,

    /// <summary>Of <see cref="TreeOperation.Length"/> bytes, named by <see cref="TreeOperation.Other"/>.</summary>
    SetAttribute,
    RemoveAttribute,

    /// <summary>Holds the node until <see cref="ReleaseAll"/>: what has no name any more lives on.</summary>
    Hold,

    /// <summary>Writes to the first held node, whatever became of its name.</summary>
    WriteHeld,
    ReleaseAll,

    /// <summary>The last close of a file.</summary>
    Closed,

    /// <summary>A clean close of the image, and open again.</summary>
    Reopen,

    /// <summary>The process dies, and the image is opened again.</summary>
    Abandon,
}

/// <summary>One operation.</summary>
/// <param name="Action">What.</param>
/// <param name="Path">Where; names are bytes, a character each.</param>
/// <param name="Other">The new path, a link's target, an attribute's name.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="OnOtherThread">A second thread does it, and the first waits.</param>
public sealed record TreeOperation(TreeAction Action, string Path = "", string Other = "", long Offset = 0, int Length = 0, bool OnOtherThread = false)
{
    /// <summary>Changes bytes of a file in a range, in place where they are.</summary>
    public bool ChangesRange => Action is TreeAction.Write or TreeAction.Append or TreeAction.PunchHole or TreeAction.ZeroRange or TreeAction.WriteHeld;

    /// <inheritdoc/>
    public override string ToString()
    {
        string where = TreeView.Text(Path), other = TreeView.Text(Other);
        string text = Action switch
        {
            TreeAction.Create => $"create {where}",
            TreeAction.MakeDirectory => $"mkdir {where}",
            TreeAction.SymbolicLink => $"symlink {where} -> {other}",
            TreeAction.Link => $"link {where} as {other}",
            TreeAction.Remove => $"unlink {where}",
            TreeAction.RemoveDirectory => $"rmdir {where}",
            TreeAction.Rename => $"rename {where} to {other}",
            TreeAction.RenameKeep => $"rename {where} to {other}, not over it",
            TreeAction.Exchange => $"exchange {where} and {other}",
            TreeAction.Write => $"write {Length} bytes at {Offset} of {where}",
            TreeAction.Append => $"append {Length} bytes to {where}",
            TreeAction.SetSize => $"truncate {where} to {Offset}",
            TreeAction.Allocate or TreeAction.AllocateKeepSize => $"allocate {Length} bytes at {Offset} of {where}{(Action == TreeAction.Allocate ? "" : ", keep its size")}",
            TreeAction.PunchHole => $"punch a hole of {Length} bytes at {Offset} into {where}",
            TreeAction.ZeroRange => $"zero {Length} bytes at {Offset} of {where}",
            TreeAction.ChangeMode => $"chmod {where} {Convert.ToString(Length, 8)}",
            TreeAction.ChangeOwner => $"chown {where} {Length}",
            TreeAction.SetTimes => $"utimes {where} {Offset}",
            TreeAction.SetAttribute => $"set the attribute {other} of {where} to {Length} bytes",
            TreeAction.RemoveAttribute => $"remove the attribute {other} of {where}",
            TreeAction.Hold => $"hold {where}",
            TreeAction.WriteHeld => $"write {Length} bytes at {Offset} of what is held",
            TreeAction.ReleaseAll => "release what is held",
            TreeAction.Closed => $"close {where}",
            TreeAction.Reopen => "close and reopen the image",
            _ => "the process dies; reopen the image",
        };
        return OnOtherThread ? $"{text} (second thread)" : text;
    }
}

/// <summary>What a program does to a new tree.</summary>
/// <param name="Operations">In order.</param>
/// <param name="QuietOperations">Of the first ones no crash states are tried: they only make a tree to work on.</param>
/// <param name="Origin">How it came about.</param>
public sealed record TreeWorkload(IReadOnlyList<TreeOperation> Operations, int QuietOperations = 0, string Origin = "");
