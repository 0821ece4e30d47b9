"""Random file system operations on two directories at once: one on the file system under test, its twin on one of the kernel's.

usage: fs_twins.py TESTED TWIN SEED OPERATIONS

Each operation must end alike (the same errno, the same bytes) in both; now and then, and at the end, the two trees must be the same: names, kinds, modes, owners, link
counts, sizes, contents, link targets, extended attributes, modification times that were set. Ends with 0, or with 1 and what differs.
"""
import errno
import hashlib
import os
import random
import shutil
import stat
import sys

FOLDERS = ["d", "e"]
NAMES = ["a", "b", "c", "f", "g", "a longer name with blanks", "x" * 255, b"\xff\xfe not utf-8".decode("utf-8", "surrogateescape")]
MOST_BYTES = 3 << 20
LOOK_EVERY = 4000


class Twins:
    def __init__(self, tested, twin, seed):
        self.roots = (tested, twin)
        self.random = random.Random(seed)
        self.done = 0

    def path(self):
        folders = [self.random.choice(FOLDERS) for _ in range(self.random.choice([0, 0, 1, 1, 2]))]
        return "/".join([*folders, self.random.choice(NAMES + FOLDERS if self.random.randrange(4) == 0 else NAMES)])

    def both(self, what, operation):
        results = []
        for root in self.roots:
            try:
                results.append(("done", operation(root)))
            except OSError as error:
                results.append(("errno", error.errno))
        if results[0] != results[1]:
            fail(f"operation {self.done}, {what}: {show(results[0])}, but on the twin {show(results[1])}")

    def step(self):
        self.done += 1
        r = self.random
        p, q = self.path(), self.path()
        offset, length = r.choice([0, r.randrange(200), r.randrange(MOST_BYTES)]), r.choice([1, r.randrange(1, 300), r.randrange(1, 70000), 4096])
        data = r.randbytes(length)
        flags = r.choice([os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_TRUNC, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR | os.O_APPEND])
        kind = r.randrange(22)
        if kind < 6:
            self.both(f"write of {length} at {offset} to {p!r}", lambda root: write(f"{root}/{p}", flags, offset, data))
        elif kind < 8:
            self.both(f"read of {length} at {offset} of {p!r}", lambda root: read(f"{root}/{p}", offset, length))
        elif kind == 8:
            self.both(f"truncate of {p!r} to {offset}", lambda root: os.truncate(f"{root}/{p}", offset))
        elif kind < 11:
            self.both(f"rename {p!r} {q!r}", lambda root: rename(f"{root}/{p}", f"{root}/{q}"))
        elif kind == 11:
            self.both(f"link {p!r} {q!r}", lambda root: os.link(f"{root}/{p}", f"{root}/{q}", follow_symlinks=False))
        elif kind < 14:
            self.both(f"unlink {p!r}", lambda root: os.unlink(f"{root}/{p}"))
        elif kind < 16:
            self.both(f"mkdir {p!r}", lambda root: os.mkdir(f"{root}/{p}", 0o755))
        elif kind == 16:
            self.both(f"rmdir {p!r}", lambda root: os.rmdir(f"{root}/{p}"))
        elif kind == 17:
            target = q * r.choice([1, 1, 8])
            self.both(f"symlink {p!r}", lambda root: os.symlink(target, f"{root}/{p}"))
        elif kind == 18:
            mode = r.choice([0o644, 0o600, 0o755, 0o4711])
            self.both(f"chmod {p!r}", lambda root: os.chmod(f"{root}/{p}", mode) if not os.path.islink(f"{root}/{p}") else None)
        elif kind == 19:
            time = r.randrange(-10**9, 4 * 10**18)
            self.both(f"utime {p!r}", lambda root: os.utime(f"{root}/{p}", ns=(time, time), follow_symlinks=False))
        elif kind == 20:
            name, value = f"user.{r.choice('xyz')}", r.randbytes(r.randrange(400))
            if r.randrange(3):
                self.both(f"setxattr {p!r}", lambda root: os.setxattr(f"{root}/{p}", name, value, follow_symlinks=False))
            else:
                self.both(f"removexattr {p!r}", lambda root: os.removexattr(f"{root}/{p}", name, follow_symlinks=False))
        else:
            self.both(f"unlink while open {p!r}", lambda root: unlink_open(f"{root}/{p}", offset, data))
        if self.done % LOOK_EVERY == 0:
            self.look()

    def look(self):
        first, second = (describe(root) for root in self.roots)
        for path in sorted(first.keys() | second.keys()):
            if first.get(path) != second.get(path):
                fail(f"after {self.done} operations {path!r} is {first.get(path)}, but on the twin {second.get(path)}")


def write(path, flags, offset, data):
    file = os.open(path, flags, 0o644)
    try:
        if flags & os.O_APPEND:
            return os.write(file, data), os.fstat(file).st_size
        return os.pwrite(file, data, offset), os.fstat(file).st_size
    finally:
        os.close(file)


def read(path, offset, length):
    file = os.open(path, os.O_RDONLY)
    try:
        return os.pread(file, length, offset)
    finally:
        os.close(file)


def rename(path, new):
    # Two names of one file: nothing happens, which the two agree about; who is told so by which errno does not matter here.
    os.rename(path, new)


def unlink_open(path, offset, data):
    file = os.open(path, os.O_RDWR)
    try:
        os.unlink(path)
        os.pwrite(file, data, offset)
        return os.pread(file, len(data) + 100, max(0, offset - 50)), os.fstat(file).st_nlink
    finally:
        os.close(file)


def describe(root):
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            facts = [stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid]
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    facts += [status.st_nlink, status.st_size, hashlib.sha1(file.read()).hexdigest()]
            elif stat.S_ISLNK(status.st_mode):
                facts.append(os.readlink(path))
            else:
                # Not every file system counts directories in the links of their parent.
                facts.append(len(os.listdir(path)))
            facts.append(sorted((x, os.getxattr(path, x, follow_symlinks=False)) for x in os.listxattr(path, follow_symlinks=False) if x.startswith("user.")))
            found[os.path.relpath(path, root)] = facts
    return found


def show(result):
    kind, value = result
    return errno.errorcode.get(value, value) if kind == "errno" else repr(value)[:200]


def fail(what):
    print(what)
    sys.exit(1)


def main():
    tested, twin, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    twins = Twins(tested, twin, seed)
    for _ in range(count):
        twins.step()
    twins.look()
    # Directories that are moved into each other again and again would in the end be deeper than a path can say.
    for root in twins.roots:
        for entry in os.scandir(root):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
    print(f"{count} operations, the same")


main()
