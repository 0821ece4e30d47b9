using System.Globalization;

namespace StoragePlugins.Host.Exports.Fuse;

/// <summary>What <c>-o</c> says of a mount.</summary>
internal sealed record MountOptions
{
    /// <summary>Others than the one who mounted may use it, as far as the modes allow.</summary>
    public bool AllowOther { get; init; }

    /// <summary>The mountpoint may have entries; they are hidden meanwhile.</summary>
    public bool NonEmpty { get; init; }

    /// <summary>Nothing can be changed.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Device nodes work; for root only.</summary>
    public bool Devices { get; init; }

    /// <summary>setuid and setgid count; for root only.</summary>
    public bool SetUserId { get; init; }

    /// <summary>Programs can be started.</summary>
    public bool Execute { get; init; } = true;

    /// <summary>Shown as the mount's source.</summary>
    public string? SourceName { get; init; }

    /// <summary>Reads the values of <c>-o</c>, each a list with commas.</summary>
    /// <exception cref="DiagnosticException">SP4035: one is not known.</exception>
    public static MountOptions Parse(IEnumerable<string> lists)
    {
        var options = new MountOptions();
        foreach (string option in lists.SelectMany(list => list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)))
        {
            options = option switch
            {
                "allow_other" => options with { AllowOther = true },
                "nonempty" => options with { NonEmpty = true },
                "ro" => options with { ReadOnly = true },
                "dev" => options with { Devices = true },
                "nodev" => options with { Devices = false },
                "suid" => options with { SetUserId = true },
                "nosuid" => options with { SetUserId = false },
                "exec" => options with { Execute = true },
                "noexec" => options with { Execute = false },
                // What is so anyway.
                "rw" or "default_permissions" or "noatime" => options,
                _ when option.StartsWith("fsname=", StringComparison.Ordinal) => options with { SourceName = option["fsname=".Length..] },
                _ => throw new DiagnosticException("SP4035", "the mount option is not known", "-o", "allow_other, nonempty, ro, rw, dev, nodev, suid, nosuid, exec, noexec, noatime, default_permissions or fsname=NAME", $"'{option}'"),
            };
        }

        return options;
    }

    /// <summary>The flags of mount(2).</summary>
    public ulong Flags => (ReadOnly ? FuseCalls.MountReadOnly : 0) | (Devices ? 0 : FuseCalls.MountNoDevices) | (SetUserId ? 0 : FuseCalls.MountNoSetUserId)
        | (Execute ? 0 : FuseCalls.MountNoExecute) | FuseCalls.MountNoAccessTime;

    /// <summary>The file system's own options for mount(2).</summary>
    public string Data(int descriptor, uint user, uint group) => string.Create(
        CultureInfo.InvariantCulture, $"fd={descriptor},rootmode=40000,user_id={user},group_id={group},default_permissions{(AllowOther ? ",allow_other" : "")}");

    /// <summary>The options for fusermount3, which allows neither devices nor setuid.</summary>
    public string ForFusermount(string source)
    {
        string name = source.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(",", "\\,", StringComparison.Ordinal);
        return $"{(ReadOnly ? "ro" : "rw")},nosuid,nodev{(Execute ? "" : ",noexec")},noatime,default_permissions{(AllowOther ? ",allow_other" : "")},subtype={FuseMount.Subtype},fsname={name}";
    }
}
