using System.Collections.Immutable;
using Microsoft.CodeAnalysis;

namespace StoragePlugins.Analyzers;

/// <summary>The native function behind a method with [DllImport] or [LibraryImport], and what is known of it.</summary>
internal sealed class NativeImport
{
    // Functions of the C library that read a value of the process or thread, or the clock through the vDSO: no lock, no device, no page fault of
    // another's memory. Short on purpose: memcpy, for one, can wait for a mapped file.
    private static readonly ImmutableHashSet<string> s_immediate =
    [
        "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getpagesize", "sched_getcpu", "getcpu",
        "clock_gettime", "clock_getres", "gettimeofday", "time", "__errno_location",
        "htonl", "htons", "ntohl", "ntohs", "abs", "labs", "llabs", "ffs", "ffsl", "ffsll",
    ];

    // Functions that wait for a device, a lock or another thread whichever library exports them: libc, libpthread, libaio, liburing, wrappers.
    private static readonly ImmutableHashSet<string> s_blocking =
    [
        "read", "readv", "pread", "pread64", "preadv", "preadv64", "preadv2", "preadv64v2",
        "write", "writev", "pwrite", "pwrite64", "pwritev", "pwritev64", "pwritev2", "pwritev64v2",
        "fsync", "fdatasync", "msync", "sync", "syncfs", "sync_file_range", "fbarrier", "fdatabarrier",
        "open", "open64", "openat", "openat64", "creat", "close", "close_range", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "mkdir", "rmdir",
        "truncate", "truncate64", "ftruncate", "ftruncate64", "fallocate", "fallocate64", "posix_fallocate", "posix_fadvise", "readahead",
        "stat", "fstat", "lstat", "fstatat", "statx", "statfs", "fstatfs", "lseek", "lseek64", "getdents64",
        "ioctl", "fcntl", "fcntl64", "flock", "lockf", "mmap", "mmap64", "munmap", "mprotect", "mremap", "madvise", "mlock", "mlockall",
        "copy_file_range", "sendfile", "sendfile64", "splice", "tee", "vmsplice",
        "accept", "accept4", "connect", "recv", "recvfrom", "recvmsg", "recvmmsg", "send", "sendto", "sendmsg", "sendmmsg", "shutdown",
        "poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2",
        "futex", "nanosleep", "clock_nanosleep", "sleep", "usleep", "pause", "sigwait", "sigtimedwait", "wait", "wait4", "waitid", "waitpid",
        "pthread_mutex_lock", "pthread_cond_wait", "pthread_cond_timedwait", "pthread_rwlock_rdlock", "pthread_rwlock_wrlock", "pthread_join", "sem_wait", "sem_timedwait",
        "sched_yield", "membarrier", "syscall", "fork", "system", "popen",
        "io_submit", "io_getevents", "io_uring_enter", "io_uring_submit", "io_uring_submit_and_wait", "io_uring_wait_cqe",
        "pmem_msync", "pmem_persist", "pmem_memcpy_persist",
    ];

    // Functions that make data durable or ordered, and say by their result alone that it failed.
    private static readonly ImmutableHashSet<string> s_syncing = ["fsync", "fdatasync", "msync", "syncfs", "fbarrier", "fdatabarrier", "pmem_msync"];

    private NativeImport(string library, string entryPoint)
    {
        Library = library;
        EntryPoint = entryPoint;
    }

    /// <summary>The library as the import names it.</summary>
    public string Library { get; }

    /// <summary>The function's name.</summary>
    public string EntryPoint { get; }

    /// <summary>Whether its failure is that of a flush.</summary>
    public bool IsSync => s_syncing.Contains(EntryPoint);

    /// <summary>Whether it can block, as far as that is known.</summary>
    public bool CanBlock => s_blocking.Contains(EntryPoint) || (IsLibc && !s_immediate.Contains(EntryPoint));

    private bool IsLibc => Library is "libc" or "c" or "libc.so" or "libc.so.6";

    /// <summary>The import that a method is; null when it is none.</summary>
    public static NativeImport? Of(IMethodSymbol method)
    {
        if (method.GetDllImportData() is { ModuleName: { } module } data) return new NativeImport(module, data.EntryPointName ?? method.Name);
        foreach (AttributeData attribute in method.GetAttributes())
        {
            if (attribute.AttributeClass is not { Name: "LibraryImportAttribute", ContainingNamespace.Name: "InteropServices" }) continue;
            object? entryPoint = attribute.NamedArguments.FirstOrDefault(argument => argument.Key == "EntryPoint").Value.Value;
            return new NativeImport(ContractTypes.FirstText(attribute), entryPoint as string ?? method.Name);
        }

        return null;
    }
}
