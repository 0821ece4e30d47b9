using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace StoragePlugins.Media.Mapping;

/// <summary>
/// Two pieces of x86-64 code that C# cannot express: a SIGBUS handler, which must not enter the runtime, and the write-back of cache
/// lines, for which .NET has no intrinsic. They share one page that is written once and then only executable.
/// </summary>
internal static unsafe class MachineCode
{
    /// <summary>Mappings that can exist at once; the handler searches them one by one.</summary>
    public const int Slots = 256;

    private const int PageBytes = 4096;
    private const int TablePosition = 16;
    private const int PreviousPosition = 50;
    private const int HandlerBytes = 124;

    // System V calling convention: rdi = signal, rsi = siginfo_t*, rdx = ucontext_t*. rax, rcx, r8–r11 are free. Assembled with GNU as.
    private static ReadOnlySpan<byte> Handler =>
    [
        0xf3, 0x0f, 0x1e, 0xfa,                         //   0        endbr64                 a valid target where indirect branches are tracked
        0x83, 0x7e, 0x08, 0x00,                         //   4        cmp dword [rsi+8], 0    si_code: > 0 when the kernel raised it for a fault
        0x7e, 0x26,                                     //   8        jle chain               sent by kill(2): si_addr holds no address
        0x48, 0x8b, 0x46, 0x10,                         //  10        mov rax, [rsi+16]       si_addr: the address that faulted
        0x49, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,             //  14        movabs r8, TABLE        the first slot
        0xb9, 0, 0, 0, 0,                               //  24        mov ecx, SLOTS
        0x49, 0x3b, 0x00,                               //  29 next:  cmp rax, [r8]           below the range's start?
        0x72, 0x06,                                     //  32        jb skip
        0x49, 0x3b, 0x40, 0x08,                         //  34        cmp rax, [r8+8]         below its end? (a free slot ends at 0)
        0x72, 0x14,                                     //  38        jb found
        0x49, 0x83, 0xc0, 0x20,                         //  40 skip:  add r8, 32              the next slot
        0xff, 0xc9,                                     //  44        dec ecx
        0x75, 0xed,                                     //  46        jnz next
        0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,             //  48 chain: movabs rax, PREVIOUS    not ours: the handler before us,
        0xff, 0xe0,                                     //  58        jmp rax                 with the arguments and the stack as they came
        0x49, 0xc7, 0x40, 0x10, 0x01, 0x00, 0x00, 0x00, //  60 found: mov qword [r8+16], 1    the range is lost; set before any zero can be read
        0x57,                                           //  68        push rdi                the system call takes these registers
        0x56,                                           //  69        push rsi
        0x52,                                           //  70        push rdx
        0x49, 0x8b, 0x70, 0x18,                         //  71        mov rsi, [r8+24]        length: the mapping's page size
        0x48, 0x89, 0xf7,                               //  75        mov rdi, rsi
        0x48, 0xf7, 0xdf,                               //  78        neg rdi                 −size = mask of the page's address
        0x48, 0x21, 0xc7,                               //  81        and rdi, rax            the page that faulted
        0xba, 0x03, 0x00, 0x00, 0x00,                   //  84        mov edx, 3              PROT_READ | PROT_WRITE
        0x41, 0xba, 0x32, 0x00, 0x00, 0x00,             //  89        mov r10d, 0x32          MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
        0x49, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff,       //  95        mov r8, −1              no file
        0x45, 0x31, 0xc9,                               // 102        xor r9d, r9d            offset 0
        0xb8, 0x09, 0x00, 0x00, 0x00,                   // 105        mov eax, 9              mmap: zeros in the place of what is gone
        0x0f, 0x05,                                     // 110        syscall                 takes rcx and r11; leaves errno alone
        0x5a,                                           // 112        pop rdx
        0x5e,                                           // 113        pop rsi
        0x5f,                                           // 114        pop rdi
        0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff,             // 115        cmp rax, −4095          an errno?
        0x73, 0xb5,                                     // 121        jae chain               then the signal is as fatal as before
        0xc3,                                           // 123        ret                     to the C library's restorer; the access runs again
    ];

    /// <summary>The handler's slots: registered by <see cref="SigbusGuard"/>. Never freed.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Slot
    {
        /// <summary>First address of the range.</summary>
        public nint Start;

        /// <summary>First address behind it; 0 in a free slot.</summary>
        public nint End;

        /// <summary>Not 0 once a page of the range was lost.</summary>
        public long Lost;

        /// <summary>The unit in which the mapping can be replaced.</summary>
        public nint PageBytes;
    }

    /// <summary>What the page holds.</summary>
    /// <param name="Handler">The signal handler.</param>
    /// <param name="WriteBack">Writes back cache lines: rdi = first line, rsi = how many, at least one.</param>
    public readonly record struct Entries(nint Handler, nint WriteBack);

    /// <summary>Writes the page.</summary>
    /// <param name="table">The slots.</param>
    /// <param name="previous">Where signals go that are not ours.</param>
    /// <exception cref="DiagnosticException">SP5024: the system gives no executable page.</exception>
    public static Entries Emit(Slot* table, nint previous)
    {
        nint page = MappingCalls.MapMemory(0, PageBytes, MappingCalls.ProtRead | MappingCalls.ProtWrite, MappingCalls.MapPrivate | MappingCalls.MapAnonymous, -1, 0);
        if (page == MappingCalls.Failed) throw NoExecutablePage();
        var code = new Span<byte>((void*)page, PageBytes);
        Handler.CopyTo(code);
        BinaryPrimitives.WriteInt64LittleEndian(code[TablePosition..], (nint)table);
        BinaryPrimitives.WriteInt32LittleEndian(code[25..], Slots);
        BinaryPrimitives.WriteInt64LittleEndian(code[PreviousPosition..], previous);
        WriteBackCode(code[HandlerBytes..]);
        if (MappingCalls.Protect(page, PageBytes, MappingCalls.ProtRead | MappingCalls.ProtExecute) != 0) throw NoExecutablePage();
        return new Entries(page, page + HandlerBytes);
    }

    private static void WriteBackCode(Span<byte> code)
    {
        // CPUID leaf 7, EBX: bit 24 clwb (keeps the line), bit 23 clflushopt (drops it). clflush has been there as long as x86-64.
        int features = X86Base.CpuId(7, 0).Ebx;
        ReadOnlySpan<byte> flush = (features & (1 << 24)) != 0 ? [0x66, 0x0f, 0xae, 0x37] // loop: clwb [rdi]
            : (features & (1 << 23)) != 0 ? [0x66, 0x0f, 0xae, 0x3f]                     //       clflushopt [rdi]
            : [0x0f, 0xae, 0x3f];                                                        //       clflush [rdi]
        flush.CopyTo(code);
        ReadOnlySpan<byte> loop =
        [
            0x48, 0x83, 0xc7, 0x40,                          // add rdi, 64
            0x48, 0xff, 0xce,                                // dec rsi
            0x75, (byte)-(flush.Length + 9),                 // jnz loop
            0xc3,                                            // ret
        ];
        loop.CopyTo(code[flush.Length..]);
    }

    private static DiagnosticException NoExecutablePage() => new(
        "SP5024", "persistent memory cannot be used here: the system gives no executable page for the SIGBUS handler", found: Libc.ErrorText(Marshal.GetLastPInvokeError()),
        fix: "allow the process executable memory (SELinux execmem, seccomp), or use another pipeline");
}
