"""What a write to disk costs here, and waiting until it costs no more than it did at the start."""

import os
import statistics
import time

WRITE_BYTES = 8192
WRITES = 25
PROBES = 8
TOLERATED_RATIO = 2
SETTLE_LIMIT_S = 20
PAUSE_S = 0.25


def fsync_ms(directory):
    """The median time of writing 8 kB of a file anew and syncing it, as a commit does with its log."""
    path = os.path.join(directory, "fsync-probe")
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(file, b"\0" * WRITE_BYTES * WRITES)
        os.fsync(file)
        return statistics.median(_timed_write(file, number * WRITE_BYTES) for number in range(WRITES))
    finally:
        os.close(file)
        os.unlink(path)


def _timed_write(file, offset):
    start = time.perf_counter()
    os.pwrite(file, b"\1" * WRITE_BYTES, offset)
    os.fdatasync(file)
    return 1000 * (time.perf_counter() - start)


def usual_fsync_ms(directory):
    """The best of several probes: what a sync costs while no one else writes."""
    probes = []
    for _ in range(PROBES):
        probes.append(fsync_ms(directory))
        time.sleep(PAUSE_S)
    return min(probes)


def settle(directory, usual_ms):
    """Waits for the disk to finish what was written before, which a filled table or another process may have left.

    Returns False where it is still slow at the limit: the measurement then goes on, and the rounds show it.
    """
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while fsync_ms(directory) > TOLERATED_RATIO * usual_ms:
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True
