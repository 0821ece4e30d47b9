"""Work on a file system whose calls are durable when they return, noted elsewhere call by call; and a look at what is left after its server was killed.

usage: fs_ledger.py write FOLDER LEDGER SEED     works until a call fails, which it does when the server dies
       fs_ledger.py verify FOLDER LEDGER         ends with 0, or with 1 and what is lost or half done

Before a call its line is written to the ledger, after it the line "done". So of the last line alone it is not known whether it happened; all others did.
"""
import errno
import os
import random
import sys

BLOCK = 4096


def content(tag, length):
    unit = f"{tag:016x}".encode()
    return (unit * (length // len(unit) + 1))[:length]


def write(folder, ledger, seed):
    r = random.Random(seed)
    with open(ledger, "a", buffering=1) as notes:
        number = 0
        while True:
            number += 1
            tag = r.randrange(1 << 60)
            kind, name, other, length = r.choice(["append", "append", "append", "replace", "create", "unlink", "rename", "mkdir", "rmdir", "truncate"]), r.randrange(12), r.randrange(12), r.choice([16, 100, 4096, 20000, 200000])
            print(f"{kind} {name} {other} {length} {tag}", file=notes)
            try:
                error = perform(folder, kind, name, other, length, tag)
            except OSError as lost:
                if lost.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO):  # the server is gone
                    return
                raise
            print(f"done {error}", file=notes)


def perform(folder, kind, name, other, length, tag):
    """Does it; returns the errno of an expected refusal, 0 otherwise."""
    file, second = f"{folder}/f{name}", f"{folder}/f{other}"
    try:
        if kind == "append":
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                if os.write(descriptor, content(tag, length)) != length:
                    raise OSError(errno.EIO, "a part of it only: the server is gone")
            finally:
                os.close(descriptor)
        elif kind == "replace":
            # As editors do: whole under another name, then renamed over.
            with open(f"{folder}/new", "wb", buffering=0) as new:
                new.write(content(tag, length))
            os.rename(f"{folder}/new", file)
        elif kind == "create":
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        elif kind == "unlink":
            os.unlink(file)
        elif kind == "rename":
            os.rename(file, second)
        elif kind == "mkdir":
            os.mkdir(f"{folder}/d{name}")
        elif kind == "rmdir":
            os.rmdir(f"{folder}/d{name}")
        elif kind == "truncate":
            os.truncate(file, length)
    except OSError as refusal:
        if refusal.errno in (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY):
            return refusal.errno
        raise
    return 0


def replay(lines):
    """The model: files by number with their bytes, directories."""
    files, folders = {}, set()
    for kind, name, other, length, tag in lines:
        apply(files, folders, kind, name, other, length, tag)
    return files, folders


def apply(files, folders, kind, name, other, length, tag):
    if kind == "append":
        files[name] = files.get(name, b"") + content(tag, length)
    elif kind == "replace":
        files[name] = content(tag, length)
    elif kind == "create":
        files.setdefault(name, b"")
    elif kind == "unlink":
        files.pop(name, None)
    elif kind == "rename":
        if name in files and name != other:
            files[other] = files.pop(name)
    elif kind == "mkdir":
        folders.add(name)
    elif kind == "rmdir":
        folders.discard(name)
    elif kind == "truncate":
        if name in files:
            files[name] = files[name][:length].ljust(length, b"\0")


def verify(folder, ledger):
    with open(ledger) as notes:
        raw = notes.read().split("\n")
    calls, last = [], None
    for line in raw:
        if not line:
            continue
        if line.startswith("done"):
            calls.append(last)
            last = None
        else:
            words = line.split()
            last = (words[0], *map(int, words[1:]))
    files, folders = replay(calls)
    found = {int(n[1:]): open(f"{folder}/{n}", "rb").read() for n in os.listdir(folder) if n.startswith("f")}
    found_folders = {int(n[1:]) for n in os.listdir(folder) if n.startswith("d")}
    states = [(files, folders)]
    if last is not None:
        after = {name: data for name, data in files.items()}, set(folders)
        apply(*after, *last)
        states.append(after)
        if last[0] == "append":
            # The kernel makes several requests of a long write, each atomic: a part of it, and of the file that it made, may be there.
            states.append(({**files, last[1]: files.get(last[1], b"")}, folders))
            present, before = found.get(last[1], b""), files.get(last[1], b"")
            if (before + content(last[4], last[3])).startswith(present) and len(present) > len(before):
                states.append(({**files, last[1]: present}, folders))
    if (found, found_folders) not in states:
        for name in sorted(files.keys() | found.keys()):
            if files.get(name) != found.get(name):
                a, b = files.get(name), found.get(name)
                print(f"f{name}: {None if a is None else len(a)} bytes were acknowledged, {None if b is None else len(b)} are there"
                      + (f", first difference at {next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), 'the end')}" if a is not None and b is not None else ""))
        if folders != found_folders:
            print(f"directories {sorted(folders)} were acknowledged, {sorted(found_folders)} are there")
        print(f"the call under way was {last}")
        sys.exit(1)
    print(f"{len(calls)} calls, all there")


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    verify(sys.argv[2], sys.argv[3])
