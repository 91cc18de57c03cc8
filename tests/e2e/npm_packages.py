"""npm packages that tests need, installed once for all runs."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def installed(name, wanted):
    """The folder `name` of the cache with the packages of the file `wanted`; made again when the versions change."""
    folder = Path(os.environ.get("HASIGNER_TEST_CACHE", Path(tempfile.gettempdir()) / "ha-signer-test-cache")) / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "installed.json"
        if not done.exists() or done.read_text() != wanted.read_text():
            shutil.rmtree(folder / "node_modules", ignore_errors=True)
            shutil.copy(wanted, folder / "package.json")
            subprocess.run(["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL)
            shutil.copy(wanted, done)
    return folder
