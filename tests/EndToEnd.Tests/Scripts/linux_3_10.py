"""Runs a command with the system calls that Linux 3.10 has (x86-64): the kernel of BarrierFS.

usage: linux_3_10.py COMMAND [ARGUMENT...]

What came later fails as it does there: numbers from 314 on with ENOSYS, open-file-description locks (3.15) with EINVAL, fallocate modes
beyond punching holes (3.14) with EOPNOTSUPP. uname still tells the truth, and so getrandom (3.17) stays: OpenSSL makes do without it only
on kernels that say that they are older.
"""
import ctypes
import errno
import os
import struct
import sys

FIRST_LATER, GETRANDOM, FCNTL, FALLOCATE = 314, 318, 72, 285
OFD_COMMANDS = (36, 37, 38)
KNOWN_FALLOCATE_MODES = 0x03

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
NUMBER, SECOND_ARGUMENT = 0, 16 + 8  # struct seccomp_data, low half of args[1]
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

FILTER = [
    (LOAD, 0, 0, NUMBER),
    (JUMP_EQUAL, 5, 0, GETRANDOM),
    (JUMP_AT_LEAST, 9, 0, FIRST_LATER),
    (JUMP_EQUAL, 0, 4, FCNTL),
    (LOAD, 0, 0, SECOND_ARGUMENT),
    (JUMP_AT_LEAST, 0, 5, OFD_COMMANDS[0]),
    (JUMP_AT_LEAST, 4, 6, OFD_COMMANDS[-1] + 1),
    (RETURN, 0, 0, ALLOW),
    (JUMP_EQUAL, 0, 2, FALLOCATE),
    (LOAD, 0, 0, SECOND_ARGUMENT),
    (JUMP_ANY_BIT, 3, 0, 0xFFFFFFFF & ~KNOWN_FALLOCATE_MODES),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, FAIL | errno.ENOSYS),
    (RETURN, 0, 0, FAIL | errno.EINVAL),
    (RETURN, 0, 0, FAIL | errno.EOPNOTSUPP),
]

code = b"".join(struct.pack("HBBI", *instruction) for instruction in FILTER)
buffer = ctypes.create_string_buffer(code, len(code))


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


program = Program(len(FILTER), ctypes.cast(buffer, ctypes.c_void_p))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
    sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
