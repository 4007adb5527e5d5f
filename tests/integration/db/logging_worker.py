"""A worker that logs rows until it is killed: its spool's folder, its database's file, its name, how many.

It prints after each flush how many rows it has flushed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from serving.log.shipper import Shipper
from serving.log.spool import Spool

folder, url_file, name, rows = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
spool = Spool(folder, 100_000_000, "taxi")
shipper = Shipper(spool, url_file)
shipper.start()
for number in range(rows):
    inputs = b'{"name": "%d %b"}' % (number, b"x" * 300)
    spool.predicted(f"{name}-{number}", 0, time.time(), 1, None, inputs, b"{}", 0.001)
    if number % 50 == 49:
        spool.flush()
        sys.stdout.write(f"{number + 1}\n")
        sys.stdout.flush()
        time.sleep(0.002)
shipper.close(20)
