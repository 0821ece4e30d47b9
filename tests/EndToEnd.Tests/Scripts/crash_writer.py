"""Writes numbered blocks to an NBD server, kills it, and says what every sector may hold afterwards.

  crash_writer.py fill  RAW STATE                          make the disk's first content
  crash_writer.py write STATE SEED PID URI                 write, flush, kill -9 PID, rewrite STATE
  crash_writer.py check STATE RAW                          exit 1 when a sector of RAW holds what it must not

A sector holds its block's version and its own number. A block's history is the list of operations on it that the last flush did not
make definite; each of its sectors must be as one of them left it. Operations on one block never overlap in time.
"""
import os
import pickle
import random
import struct
import sys
import time

import nbd

BLOCK = 4096
SECTOR = 512
BLOCKS = 8192
MAX_BLOCKS = 64
DEPTH = 16
CONNECTIONS = 2
ZERO = bytes(BLOCK)


def sector(version, number):
    return struct.pack("<QQ", version, number) * (SECTOR // 16) if version else bytes(SECTOR)


def block(version, number):
    if not version:
        return ZERO
    first = number * (BLOCK // SECTOR)
    return b"".join(sector(version, first + i) for i in range(BLOCK // SECTOR))


def save(path, allowed):
    with open(path, "wb") as f:
        pickle.dump(allowed, f)


def load(path):
    with open(path, "rb") as f:
        return pickle.load(f)


def fill(raw, state):
    rng = random.Random(1)
    allowed = []
    with open(raw, "wb") as f:
        while len(allowed) < BLOCKS:
            version = rng.choice([0, 1, 2])
            for _ in range(min(rng.randint(1, 100), BLOCKS - len(allowed))):
                f.write(block(version, len(allowed)))
                allowed.append([version])
    save(state, allowed)


class Operation:
    def __init__(self, version, is_definite, first=0, count=0):
        self.version, self.is_definite, self.first, self.count = version, is_definite, first, count
        self.is_done = False
        self.is_fua = False
        self.flushed = None

    def blocks(self):
        return range(self.first, self.first + self.count)


class Writer:
    def __init__(self, state, seed, uri):
        self.rng = random.Random(seed)
        self.histories = [[Operation(v, True) for v in versions] for versions in load(state)]
        for history in self.histories:
            for operation in history:
                operation.is_done = True
        self.busy = set()
        self.flying = []
        self.version = 1000
        self.flushes = 0
        self.lost = 0
        self.connections = []
        for _ in range(CONNECTIONS):
            h = nbd.NBD()
            h.connect_uri(uri)
            self.connections.append(h)

    def run(self, operations):
        for _ in range(operations):
            self.issue()
            while len(self.flying) >= DEPTH:
                self.reap(100)
            if self.rng.random() < 0.3:
                self.reap(self.rng.randint(0, 2))

    def kill(self, pid):
        if self.rng.random() < 0.6:
            self.flush(self.rng.choice(self.connections))
        wait = time.monotonic() + self.rng.random() * 0.03
        while time.monotonic() < wait:
            self.reap(0)
        os.kill(pid, 9)
        while self.flying and not all(h.aio_is_dead() or h.aio_is_closed() for h in self.connections):
            self.reap(100)
        self.reap(0)

    def issue(self):
        h = self.rng.choice(self.connections)
        kind = self.rng.random()
        if kind < 0.15:
            return self.flush(h)
        count = min(int(MAX_BLOCKS ** self.rng.random()), MAX_BLOCKS)
        first = self.rng.randrange(BLOCKS - count)
        if any(b in self.busy for b in range(first, first + count)):
            return
        offset, length = first * BLOCK, count * BLOCK
        if kind < 0.25:
            operation = Operation(0, False, first, count)
            cookie = h.aio_trim(length, offset)
        elif kind < 0.35:
            operation = Operation(0, True, first, count)
            cookie = h.aio_zero(length, offset, flags=self.rng.choice([0, nbd.CMD_FLAG_NO_HOLE]))
        else:
            self.version += 1
            operation = Operation(self.version, True, first, count)
            operation.is_fua = kind < 0.45
            data = bytearray(b"".join(block(self.version, b) for b in operation.blocks()))
            cookie = h.aio_pwrite(nbd.Buffer.from_bytearray(data), offset, flags=nbd.CMD_FLAG_FUA if operation.is_fua else 0)
        self.busy.update(operation.blocks())
        for b in operation.blocks():
            self.histories[b].append(operation)
        self.flying.append((h, cookie, operation))

    def flush(self, h):
        if any(operation.flushed is not None for _, _, operation in self.flying):
            return
        operation = Operation(0, False)
        operation.flushed = {}
        for b, history in enumerate(self.histories):
            if len(history) > 1:
                definite = [o for o in history if o.is_done and o.is_definite]
                operation.flushed[b] = definite[-1]
        self.flying.append((h, h.aio_flush(), operation))

    def reap(self, milliseconds):
        for h in self.connections:
            if not (h.aio_is_dead() or h.aio_is_closed()):
                try:
                    h.poll(milliseconds)
                except nbd.Error:
                    pass
        still = []
        for h, cookie, operation in self.flying:
            try:
                if h.aio_command_completed(cookie):
                    self.complete(operation)
                else:
                    still.append((h, cookie, operation))
            except nbd.Error:
                if not (h.aio_is_dead() or h.aio_is_closed()):
                    raise
                self.lost += 1
        self.flying = still

    def complete(self, operation):
        operation.is_done = True
        self.busy.difference_update(operation.blocks())
        if operation.flushed is not None:
            self.flushes += 1
            for b, definite in operation.flushed.items():
                self.forget_before(b, definite)
        elif operation.is_fua:
            for b in operation.blocks():
                self.forget_before(b, operation)

    def forget_before(self, b, definite):
        history = self.histories[b]
        if definite in history:
            del history[:history.index(definite)]


def write(state, seed, pid, uri):
    writer = Writer(state, int(seed), uri)
    writer.run(writer.rng.randint(20, 1500))
    writer.kill(int(pid))
    save(state, [[o.version for o in history] for history in writer.histories])
    print(f"{writer.flushes} flushes, {writer.lost} operations in flight at the kill")


def check(state, raw):
    wrong = 0
    with open(raw, "rb") as f:
        for b, versions in enumerate(load(state)):
            actual = f.read(BLOCK)
            if any(actual == block(v, b) for v in versions):
                continue
            for i in range(BLOCK // SECTOR):
                number = b * (BLOCK // SECTOR) + i
                data = actual[i * SECTOR:(i + 1) * SECTOR]
                if not any(data == sector(v, number) for v in versions):
                    wrong += 1
                    if wrong <= 10:
                        print(f"sector {number} begins {data[:16].hex()} (version {struct.unpack('<Q', data[:8])[0]}), may be of {versions}")
    print(f"{wrong} wrong sectors")
    return 1 if wrong else 0


sys.exit({"fill": fill, "write": write, "check": check}[sys.argv[1]](*sys.argv[2:]))
