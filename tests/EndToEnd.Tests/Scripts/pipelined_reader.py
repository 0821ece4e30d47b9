"""Keeps large and small reads in flight over an NBD server, each batch sent at once, and compares what comes with a raw file.

  pipelined_reader.py URI RAW ROUNDS

libnbd fails when a reply's chunk comes after the one that said that it is the last.
"""
import random
import sys

import nbd

uri, raw, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(raw, "rb") as f:
    expected = f.read()
h = nbd.NBD()
h.connect_uri(uri)
rng = random.Random(1)
for _ in range(rounds):
    flying = []
    for _ in range(8):
        for length in [rng.randint(1, 4) * 132 * 1024] + [512] * rng.randint(0, 20):
            offset = rng.randrange((len(expected) - length) // 512) * 512
            buffer = nbd.Buffer(length)
            flying.append((h.aio_pread(buffer, offset), offset, length, buffer))
    while flying:
        h.poll(-1)
        still = []
        for cookie, offset, length, buffer in flying:
            if not h.aio_command_completed(cookie):
                still.append((cookie, offset, length, buffer))
            elif bytes(buffer.to_bytearray()) != expected[offset:offset + length]:
                sys.exit(f"the read of {length} bytes at {offset} has wrong content")
        flying = still
h.shutdown()
