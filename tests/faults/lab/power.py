"""Power cuts: what a disk may hold afterwards, made of what disk_faults.cpp kept."""

import shutil
import subprocess
from pathlib import Path

SECTOR = 512


class Power:
    """The power of a machine whose processes keep their files in a folder, by way of disk_faults.cpp."""

    def __init__(self, library, folder, durable):
        self.folder, self.durable = Path(folder), Path(durable)
        self.durable.mkdir(mode=0o700)
        self.environment = {"LD_PRELOAD": str(library), "HASIGNER_DISK_FOLDER": str(self.folder), "HASIGNER_DISK_DURABLE": str(self.durable)}

    def cut(self, random):
        """Leaves in the folder what a disk may have: all that was synced, and of everything later each sector or not.

        All processes that use the folder must be dead. One cut in three keeps nothing that was not synced."""
        keeps = random.choice((0.0, 0.5, 0.9))
        durable_names = {}
        if (self.durable / "names").exists():
            durable_names = dict(reversed(line.split(" ", 1)) for line in (self.durable / "names").read_text().splitlines())
        now = {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
        before = {name: self._contents(identity) for name, identity in durable_names.items()}
        left = {}
        for name in sorted(now.keys() | before.keys()):
            is_there = name in now and name in before or random.random() < (keeps if name in now else 1 - keeps)
            # The index of the log is memory that processes share, and the log is what it is made of.
            if is_there and not name.endswith("-shm"):
                old = before[name] if name in before else b""
                left[name] = mixed(old, now.get(name, old), keeps, random)
        self._start_again(left)

    def _contents(self, identity):
        path = self.durable / identity
        return path.read_bytes() if path.exists() else b""

    def _start_again(self, files):
        for folder in (self.folder, self.durable):
            for path in folder.iterdir():
                path.unlink()
        names = []
        for name, contents in files.items():
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_bytes(contents)
            identity = identity_of(path)
            shutil.copyfile(path, self.durable / identity)
            names.append(f"{identity} {name}\n")
        (self.durable / "names").write_text("".join(names))


def mixed(old, new, keeps, random):
    """Each sector as it was at the last sync, or as it was written since."""
    size = len(new) if random.random() < keeps else len(old)
    old, new = old.ljust(size, b"\0"), new.ljust(size, b"\0")
    mixture = bytearray(old[:size])
    for at in range(0, size, SECTOR):
        end = min(at + SECTOR, size)
        if old[at:end] != new[at:end] and random.random() < keeps:
            mixture[at:end] = new[at:end]
    return bytes(mixture)


def identity_of(path):
    """As disk_faults.cpp names a file: inode and time of birth."""
    shown = subprocess.run(["stat", "--format", "%i %.9W", path], capture_output=True, text=True, check=True).stdout
    inode, birth = shown.split()
    seconds, nanoseconds = birth.split(".")
    return f"{inode}.{seconds}.{int(nanoseconds)}"
