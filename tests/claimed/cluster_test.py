#!/usr/bin/env python3
"""Unchanged nodes race, and are killed, with their keys behind two services: no duty gets two signatures.

cluster_test.py PROGRAM, with CLAIMED_PROJECT (a folder with the packages of tests/claimed/package.json); see run."""

import collections
import os
import random
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import e2e_support as e2e  # noqa: E402
from service_support import Service, key_of  # noqa: E402
from serve_claimed_test import client, new_database  # noqa: E402

SLOTS = int(os.environ.get("SLOTS", "60"))
KEYS = [key_of(n) for n in range(1, 9)]
SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))


class Cluster(unittest.TestCase):
    def test_thousands_of_duties_raced_by_three_nodes_with_kills(self):
        print(f"SEED={SEED} SLOTS={SLOTS}", flush=True)
        chance = random.Random(SEED)
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        for name in ("node.mjs", "recording_proxy.mjs", "remote_key_store.mjs"):
            shutil.copy(HERE / name, folder.path / name)
        (folder.path / "node_modules").symlink_to(Path(os.environ["CLAIMED_PROJECT"]) / "node_modules")
        database = new_database(1)
        token, line = client("node", "sign,claimed,read")
        services = [Service(folder.path, database=database, node=name, clients=line, name=name, keys=KEYS) for name in ("serve-1", "serve-2")]
        for service in services:
            self.addCleanup(service.stop)
        addresses = ",".join(services[0].rpc("eth_accounts", token=token)["result"])
        proxies = [self.proxy(folder.path, service, f"record-{i}") for i, service in enumerate(services)]
        environment = e2e.clean_environment(LOG_LEVEL="silent")

        def start(i):
            command = ["node", "node.mjs", f"aztec-{i}", f"http://127.0.0.1:{proxies[i % 2]}/{token}", database, addresses,
                       str(self.slot_of(folder.path, i)), str(SLOTS), f"journal-{i}"]
            with open(folder.path / f"out-{i}", "ab") as out, open(folder.path / f"err-{i}", "ab") as err:
                return subprocess.Popen(command, cwd=folder.path, env=environment, stdout=out, stderr=err)

        nodes = [start(i) for i in range(3)]
        kills = 0
        give_up_at = time.monotonic() + 900
        while any(node.poll() is None for node in nodes) and time.monotonic() < give_up_at:
            time.sleep(chance.uniform(1.0, 3.0))
            i = chance.randrange(3)
            if nodes[i].poll() is None and kills < SLOTS // 6:
                nodes[i].kill()
                nodes[i].wait()
                kills += 1
                nodes[i] = start(i)
        for i, node in enumerate(nodes):
            self.assertEqual(node.wait(timeout=60), 0, (folder.path / f"err-{i}").read_text()[-2000:])

        duty_of = {}
        for i in range(3):
            for entry in (folder.path / f"journal-{i}").read_text().splitlines():
                validator, slot, duty_type, index, message = entry.split()
                duty_of[(validator.lower(), message)] = (validator.lower(), slot, duty_type, index)
        released = collections.defaultdict(set)
        for i in range(2):
            for entry in (folder.path / f"record-{i}").read_text().splitlines():
                validator, message, _ = entry.split()
                released[duty_of[(validator, message)]].add(message)
        doubles = {duty: messages for duty, messages in released.items() if len(messages) > 1}
        wanted = len(set(duty_of.values()))
        last = (folder.path / "out-0").read_text().splitlines()[-1]
        print(f"duties {wanted}, with a released signature {len(released)}, with two {len(doubles)}, kills {kills}; {last}", flush=True)
        self.assertEqual(doubles, {})
        self.assertGreater(len(released), 0.9 * wanted)

    @staticmethod
    def slot_of(folder, i):
        """A node that was killed goes on one slot before the latest that anyone has begun."""
        slots = [int(path.read_text().splitlines()[-1].split()[1]) for path in folder.glob("journal-*") if path.stat().st_size]
        del i
        return max(slots) - 1 if slots else 1000

    def proxy(self, folder, service, record):
        host, port = service.addresses[0].rsplit(":", 1)
        process = subprocess.Popen(["node", "recording_proxy.mjs", host, port, record], cwd=folder, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return int(process.stdout.readline())


if __name__ == "__main__":
    e2e.main()
