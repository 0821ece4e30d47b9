namespace StoragePlugins.EndToEnd.Tests;

/// <summary>QEMU's own tools as makers, clients and judges of images.</summary>
internal static class Qemu
{
    /// <summary>qemu-img, which must succeed.</summary>
    public static string Img(params string[] arguments) => Tool.Succeed("qemu-img", arguments);

    /// <summary>qemu-io commands on an image or URI; all must succeed.</summary>
    public static void Io(string format, string target, params string[] commands)
    {
        ToolResult result = Tool.RunIn(null, string.Join('\n', commands) + "\n", "qemu-io", "-f", format, target).Expect(0);
        bool failed = new[] { "failed", "Invalid", "invalid", "bad argument", "not found" }.Any(word => result.Text.Contains(word, StringComparison.Ordinal));
        Assert.False(failed, $"{result.CommandLine}\n{result.Text}");
    }

    /// <summary>The exit code of <c>qemu-img check</c>: 0 clean, 2 corrupt, 3 leaks.</summary>
    public static int Check(string image) => Tool.Run("qemu-img", "check", image).Expect(0, 2, 3).ExitCode;

    /// <summary><c>qemu-img check</c> must find nothing. Raw images have nothing to check.</summary>
    public static void RequireClean(string image)
    {
        if (image.EndsWith(".raw", StringComparison.Ordinal)) return;
        ToolResult result = Tool.Run("qemu-img", "check", image);
        Assert.True(result.ExitCode == 0, result.Text);
    }

    /// <summary><c>qemu-img compare</c> must find the guest contents of an image identical to a raw file.</summary>
    public static void RequireIdentical(string image, string raw) => Tool.Run("qemu-img", "compare", "-F", "raw", "-f", FormatOf(image), image, raw).Expect(0);

    /// <summary>The format that an image's name says, since probing a raw disk is a guess.</summary>
    public static string FormatOf(string image) => image.EndsWith(".raw", StringComparison.Ordinal) ? "raw" : "qcow2";
}
