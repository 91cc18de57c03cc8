#!/usr/bin/env python3
"""The demonstration: its report adds up, it reads well, and it leaves nothing behind, however it ends."""

import json
import os
import pty
import re
import signal
import subprocess
import time
import unittest
from pathlib import Path

import e2e_support as e2e


def alive(pid):
    return Path(f"/proc/{pid}").exists()


def run(*arguments, env):
    return e2e.run(*arguments, program=e2e.demonstration(), env=env)


class Demo(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()

    def tearDown(self):
        self.folder.remove()

    def env(self, **more):
        return e2e.clean_environment(TMPDIR=str(self.folder.path), **more)

    def assert_nothing_left(self):
        self.assertEqual(list(self.folder.path.iterdir()), [])

    def assert_adds_up(self, report, validators, slots):
        per_slot = 7 * validators
        self.assertTrue(report["ok"])
        self.assertEqual(report["duties"], per_slot * slots)
        checks = report["checks"]
        self.assertGreaterEqual(checks.pop("signatures_recovered"), report["duties"])
        self.assertEqual(set(checks.values()), {0}, checks)
        nodes = report["nodes"]
        self.assertEqual(sum(node["signed"] for node in nodes), report["duties"])
        self.assertGreater(report["kill"]["held"], 0)
        rescued = report["kill"]["same_data_signed_after_ms"]["count"] + report["kill"]["other_data_signed_after_ms"]["count"]
        self.assertEqual(rescued, report["kill"]["held"])
        self.assertGreater(report["kill"]["restart_to_first_signature_ms"], 0)
        self.assertGreaterEqual(sum(node["taken_over"] for node in nodes), 4 * validators)
        # Every node comes to an end with every duty that it was given; the killed one was not given those of its absence.
        ends = [node["signed"] + node["duty_already_signed"] + node["slashing_protection"] for node in nodes]
        self.assertEqual(ends[0], report["duties"])
        self.assertEqual(ends[2], report["duties"])
        self.assertLess(ends[1], report["duties"])
        for latencies in report["latency_ms"].values():
            self.assertLessEqual(0, latencies["p50"])
            self.assertLessEqual(latencies["p50"], latencies["p95"])
            self.assertLessEqual(latencies["p95"], latencies["p99"])

    def test_report_adds_up_on_sqlite(self):
        started = time.monotonic()
        done = run("--json", "--validators", "3", "--slots", "9", env=self.env())
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertLess(time.monotonic() - started, 30)
        self.assert_adds_up(json.loads(done.stdout), 3, 9)
        self.assert_nothing_left()

    def test_report_adds_up_on_postgres(self):
        url = e2e.postgres().new_database()
        done = run("--json", "--validators", "2", "--slots", "6", "--database-url", url, env=self.env())
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assert_adds_up(json.loads(done.stdout), 2, 6)
        self.assert_nothing_left()

    def test_fits_a_terminal_of_80_columns_and_can_keep_its_file(self):
        done = run("--keep", "--slots", "4", env=self.env())
        self.assertEqual(done.returncode, 0, done.stderr)
        kept = next(self.folder.path.iterdir()) / "signer.db"
        lines = [line for line in done.stdout.splitlines() if str(kept) not in line]
        self.assertEqual([line for line in lines if len(line) > 80], [])
        self.assertNotIn("\033", done.stdout)
        self.assertIn("Every duty was signed, and each for one message only.", done.stdout)
        listed = e2e.run("duties", "list", "--json", "--database-url", f"sqlite:{kept}")
        self.assertEqual(listed.returncode, 0, listed.stderr)

    def test_shows_colours_on_a_terminal_only_and_not_against_the_users_will(self):
        for env, coloured in ((self.env(TERM="xterm"), True), (self.env(TERM="xterm", NO_COLOR="1"), False), (self.env(TERM="dumb"), False)):
            master, slave = pty.openpty()
            process = subprocess.Popen([e2e.demonstration(), "--validators", "1", "--slots", "4"], stdin=slave, stdout=slave,
                                       stderr=slave, env=env)
            os.close(slave)
            output = b""
            try:
                while chunk := os.read(master, 65536):
                    output += chunk
            except OSError:
                pass  # The terminal's other end is closed.
            os.close(master)
            self.assertEqual(process.wait(timeout=60), 0, output)
            self.assertEqual(b"\033[" in output, coloured)

    def start_and_wait_for_slot(self, number):
        demo = subprocess.Popen([e2e.demonstration(), "--slots", "30"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.env())
        pids = []
        for line in demo.stdout:
            if found := re.search(r"\(pids? ([\d, ]+)\)", line):
                pids += [int(pid) for pid in found[1].split(",")]
            if re.match(rf"\s+slot +{number} ", line):
                break
        else:
            _, err = demo.communicate(timeout=15)
            self.fail(f"the demonstration ended with {demo.returncode} before slot {number}, nodes {pids}: {err}")
        self.assertEqual(len(pids), 3)
        return demo, pids

    def assert_gone(self, pids):
        give_up_at = time.monotonic() + 5
        while any(alive(pid) for pid in pids) and time.monotonic() < give_up_at:
            time.sleep(0.02)
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_ctrl_c_stops_the_nodes_and_removes_the_files(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            demo, pids = self.start_and_wait_for_slot(2)
            demo.send_signal(number)
            _, err = demo.communicate(timeout=15)
            self.assertEqual(demo.returncode, 1, err)
            self.assertIn("interrupted", err)
            self.assert_gone(pids)
            self.assert_nothing_left()

    def test_nodes_do_not_outlive_a_killed_demonstration(self):
        demo, pids = self.start_and_wait_for_slot(1)
        demo.kill()
        demo.communicate()
        self.assert_gone(pids)

    def test_fails_when_a_node_dies_that_should_not(self):
        demo, pids = self.start_and_wait_for_slot(1)
        os.kill(pids[0], signal.SIGKILL)
        _, err = demo.communicate(timeout=30)
        self.assertEqual(demo.returncode, 1)
        self.assertIn("node-1 ended by itself", err)
        self.assert_gone(pids)
        self.assert_nothing_left()

    def test_says_what_a_database_lacks(self):
        e2e.postgres().sql("create database without_tables")
        done = run("--database-url", e2e.postgres().url("without_tables"), env=self.env())
        self.assertEqual(done.returncode, e2e.USAGE)
        self.assertIn("ha-signer migrate up", done.stderr)

    def test_names_the_option_that_is_wrong(self):
        for arguments in (["--slots", "0"], ["--validators", "many"], ["--database-url", "memory:"], ["--slto", "4"]):
            done = run(*arguments, env=self.env())
            self.assertEqual((done.returncode, done.stdout), (e2e.USAGE, ""), done.stderr)
            self.assertIn(arguments[0], done.stderr)

    def test_starts_no_node_by_hand(self):
        done = run("node", env=self.env())
        self.assertEqual(done.returncode, e2e.FAILURE)
        self.assertIn("started by the demonstration", done.stderr)


if __name__ == "__main__":
    e2e.main()
