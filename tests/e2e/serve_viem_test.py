#!/usr/bin/env python3
"""viem's and ethers' accounts sign through the service; both come from npm, at the versions of tests/vectors."""

import shutil
import subprocess
import unittest
from pathlib import Path

import e2e_support as e2e
from npm_packages import installed
from service_support import CHAIN_ID, Service

HERE = Path(__file__).resolve().parent
WANTED = HERE.parent / "vectors" / "package.json"


class ViemTests(unittest.TestCase):
    def test_viem_and_ethers_sign_through_the_service(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        service = Service(folder.path)
        self.addCleanup(service.stop)
        # Where a script lies decides which packages it finds.
        script = folder.path / "serve_viem.mjs"
        shutil.copy(HERE / "serve_viem.mjs", script)
        (folder.path / "node_modules").symlink_to(installed("viem", WANTED) / "node_modules")
        run = subprocess.run(["node", script, f"http://{service.addresses[0]}/", e2e.KEY, e2e.ADDRESS, str(CHAIN_ID), e2e.ROLLUP],
                             capture_output=True, text=True, timeout=120)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(run.stdout.count("passed: "), 8, run.stdout)


if __name__ == "__main__":
    e2e.main()
