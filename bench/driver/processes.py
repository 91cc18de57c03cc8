"""Child processes that are always bounded in time and never outlive the bench."""

import os
import signal
import subprocess

STOP_GRACE_S = 30

_alive = set()


class Failed(Exception):
    """A child ended with an error or did not end in time; the message says which and what it said."""

    def __init__(self, message, exit_code=None):
        super().__init__(message)
        self.exit_code = exit_code


def start(command, **options):
    """Starts a child in a process group of its own, so that what it starts can be ended with it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    _alive.add(child)
    return child


def end(child, first_signal=signal.SIGKILL):
    """Ends the child's group: with `first_signal`, and with SIGKILL if that does not help in time."""
    for number in (first_signal, signal.SIGKILL):
        if child.poll() is not None:
            break
        try:
            os.killpg(child.pid, number)
            child.wait(STOP_GRACE_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    _alive.discard(child)


def end_all():
    for child in list(_alive):
        end(child)


def finish(child, name, limit_s):
    """Waits for a child started with pipes; returns what it printed, or raises Failed."""
    try:
        out, err = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        end(child)
        child.communicate()
        raise Failed(f"{name} did not end within {limit_s} s") from None
    _alive.discard(child)
    if child.returncode != 0:
        said = (err.strip() or out.strip() or "it said nothing").splitlines()
        raise Failed(f"{name} ended with {child.returncode}: {' | '.join(said[:4])}", child.returncode)
    return out


def run(command, name, limit_s, **options):
    child = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    return finish(child, name, limit_s)
