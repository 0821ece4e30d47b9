"""Writes a list of offsets to an NBD server, each write followed by a flush that is waited for.

  flushing_writer.py URI BYTES    offsets on standard input, one a line
"""
import sys

import nbd

h = nbd.NBD()
h.connect_uri(sys.argv[1])
data = b"\x5a" * int(sys.argv[2])
for line in sys.stdin:
    h.pwrite(data, int(line))
    h.flush()
h.shutdown()
