"""Replays a dm-log-writes log to its end over an image. Knows the format and nothing else: marks are skipped, discards are zeros.

usage: replay_log.py LOG IMAGE; prints one line: entries, writes, discards, flushes, marks, and what the super does not count.
"""
import struct
import sys

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


def main(log_path, image_path):
    counts = {"writes": 0, "discards": 0, "flushes": 0, "marks": 0}
    with open(log_path, "rb") as log, open(image_path, "r+b") as image:
        magic, version, entries, sector_bytes = struct.unpack("<QQQI", log.read(28))
        if (magic, version) != (MAGIC, 1):
            sys.exit(f"no log: magic {magic:#x}, version {version}")
        log.seek(sector_bytes)
        for index in range(entries):
            header = log.read(sector_bytes)
            if len(header) < sector_bytes:
                sys.exit(f"the log ends at entry {index} of {entries}")
            sector, sectors, flags, data_len = struct.unpack("<QQQQ", header[:32])
            if flags & ~(FLUSH | FUA | DISCARD | MARK):
                sys.exit(f"entry {index}: flags {flags:#x}")
            if flags & MARK:
                if sectors or data_len > sector_bytes - 32:
                    sys.exit(f"entry {index}: a mark of {sectors} sectors, {data_len} bytes")
                counts["marks"] += 1
                continue
            if flags & FLUSH:
                counts["flushes"] += 1
            if not sectors:
                continue
            image.seek(sector * sector_bytes)
            if flags & DISCARD:
                counts["discards"] += 1
                image.write(bytes(sectors * sector_bytes))
            else:
                counts["writes"] += 1
                data = log.read(sectors * sector_bytes)
                if len(data) < sectors * sector_bytes:
                    sys.exit(f"the log ends in the data of entry {index} of {entries}")
                image.write(data)
        uncounted = len(log.read())
    print(f"{entries} entries:", ", ".join(f"{count} {kind}" for kind, count in counts.items()) + f"; {uncounted} bytes behind the last one")


main(*sys.argv[1:])
