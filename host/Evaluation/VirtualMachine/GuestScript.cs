namespace StoragePlugins.Host.Evaluation.VirtualMachine;

/// <summary>What runs in the virtual machine, and where things are there.</summary>
internal static class GuestScript
{
    /// <summary>Where the disk is mounted.</summary>
    public const string MountPoint = "/mnt";

    /// <summary>The disk.</summary>
    public const string Disk = "/dev/vda";

    /// <summary>Where its counters are.</summary>
    public const string DiskStatistics = "/sys/block/vda/stat";

    /// <summary>The host's programs. To be called by their paths: the shell takes its own where it has one of that name.</summary>
    public const string ProgramFolder = "/programs";

    /// <summary>Modules, named in the order of loading.</summary>
    public const string Modules = "/modules";

    /// <summary>What the guest says when it takes commands.</summary>
    public const string Ready = "ready";

    /// <summary>Of a command's output the guest sends so much, the end of it: fio's longest report.</summary>
    public const int OutputBytes = 64 << 10;

    /// <summary>
    /// Process 1. A line on the second serial port is a number and a command in base64; the answer is "done", the number, the command's exit code, nanoseconds by the
    /// guest's clock, and the end of its output in base64.
    /// </summary>
    public static string Init { get; } = $$"""
        #!/bin/{{Initramfs.Busybox}} sh
        /bin/{{Initramfs.Busybox}} --install -s /bin
        export PATH=/bin LC_ALL=C
        mount -t devtmpfs devtmpfs /dev
        mount -t proc proc /proc
        mount -t sysfs sysfs /sys
        for module in {{Modules}}/*; do
            [ -f "$module" ] && insmod "$module"
        done
        exec 3<>/dev/ttyS1
        stty raw -echo clocal <&3
        echo {{Ready}} >&3
        while read -r number command <&3; do
            begin=$({{ProgramFolder}}/date +%s%N)
            echo "$command" | base64 -d | sh > /tmp/output 2>&1
            code=$?
            end=$({{ProgramFolder}}/date +%s%N)
            echo "done $number $code $((end - begin)) $(tail -c {{OutputBytes}} /tmp/output | base64 -w 0)" >&3
        done
        poweroff -f

        """;
}
