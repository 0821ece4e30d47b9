using System.Globalization;
using StoragePlugins.Host.Diagnostics;
using StoragePlugins.Media;

namespace StoragePlugins.Host.Plugins;

/// <summary>
/// Refuses code that another user could have put or changed there. A load context is no sandbox: a plugin has all the rights of the host.
/// </summary>
internal static class FolderTrust
{
    /// <summary>Looks at owner and mode of a file or folder.</summary>
    /// <returns>Why it is refused; null when only root and the current user can write it.</returns>
    public static Diagnostic? Examine(string path)
    {
        if (UnixFile.Status(path) is not { } status) return null;
        uint user = UnixFile.EffectiveUserId;
        string mode = "0" + Convert.ToString(status.Mode & 0xFFF, 8);
        if (status.UserId != 0 && status.UserId != user)
        {
            return Diagnostic.Error(
                "SP1009", "it belongs to another user, so that user could run code here; the plugin is not loaded", path,
                string.Create(CultureInfo.InvariantCulture, $"owner root or uid {user}"), string.Create(CultureInfo.InvariantCulture, $"uid {status.UserId}"),
                "chown it to yourself after looking at what it holds");
        }

        if (status.IsWorldWritable)
            return Refusal(path, mode, "everyone can write it", "chmod o-w");
        if (status.IsGroupWritable && !IsPrivateGroup(status.GroupId, status.UserId))
            return Refusal(path, mode, string.Create(CultureInfo.InvariantCulture, $"group {status.GroupId} can write it"), "chmod g-w");
        return null;
    }

    private static Diagnostic Refusal(string path, string mode, string why, string command) => Diagnostic.Error(
        "SP1009", $"{why}, so others could run code here; the plugin is not loaded", path, "writable by root and you only", $"mode {mode}", $"run {command} on it");

    // Debian, Ubuntu and Fedora give each user a group of their own and umask 002: group-writable then means nobody else.
    private static bool IsPrivateGroup(uint groupId, uint ownerId)
    {
        try
        {
            string group = groupId.ToString(CultureInfo.InvariantCulture);
            string owner = ownerId.ToString(CultureInfo.InvariantCulture);
            string[][] users = [.. File.ReadLines("/etc/passwd").Select(line => line.Split(':')).Where(fields => fields.Length >= 4)];
            string? ownerName = users.FirstOrDefault(fields => fields[2] == owner)?[0];
            string[]? entry = File.ReadLines("/etc/group").Select(line => line.Split(':')).FirstOrDefault(fields => fields.Length >= 4 && fields[2] == group);
            return ownerName is not null && entry is not null
                && users.All(fields => fields[3] != group || fields[2] == owner)
                && entry[3].Split(',', StringSplitOptions.RemoveEmptyEntries).All(member => member == ownerName);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
