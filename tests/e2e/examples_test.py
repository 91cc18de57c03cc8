#!/usr/bin/env python3
"""The programs of examples/: python3 examples_test.py FOLDER_OF_THE_EXAMPLES HA_SIGNER"""

import re
import subprocess
import sys
import unittest
from pathlib import Path

import e2e_support as e2e

FOLDER = Path(sys.argv.pop(1))


def run(example, *arguments):
    return subprocess.run([FOLDER / example, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, env=e2e.clean_environment())


class Examples(unittest.TestCase):
    def assert_signs_once(self, database):
        first = run("basic_usage", database)
        self.assertEqual(first.returncode, 0, first.stderr)
        signature = re.fullmatch(r"signed: (0x[0-9a-f]{130})\n", first.stdout)[1]
        again = run("basic_usage", database)
        self.assertEqual((again.returncode, again.stdout), (0, f"signed before, by validator-node-1: {signature}\n"), again.stderr)

    def test_basic_usage_on_sqlite(self):
        folder = e2e.Folder()
        self.assert_signs_once(f"sqlite:{folder.path}/signer.db")
        folder.remove()

    def test_basic_usage_on_postgres(self):
        self.assert_signs_once(e2e.postgres().new_database())

    def test_custom_pool(self):
        database = e2e.postgres().new_database()
        done = run("custom_pool", database)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(re.findall(r"^(\w+): 0x[0-9a-f]{130}$", done.stdout, re.M)), ["first", "second"], done.stdout)
        again = run("custom_pool", database)
        self.assertEqual(again.stdout.count("already signed by node validator-node-"), 2, again.stdout)

    def test_say_what_is_wrong(self):
        for example, arguments in (("basic_usage", []), ("custom_pool", [])):
            self.assertEqual(run(example, *arguments).returncode, 2)
        for example in ("basic_usage", "custom_pool"):
            done = run(example, "mysql://root@localhost/x")
            self.assertEqual(done.returncode, 1)
            self.assertNotEqual(done.stderr, "")


if __name__ == "__main__":
    e2e.main()
