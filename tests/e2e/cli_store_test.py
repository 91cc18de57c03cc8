#!/usr/bin/env python3
"""Inspection and maintenance of a store, on SQLite and PostgreSQL: duties, nodes, watermark, prune, export, import."""

import fcntl
import json
import os
import pty
import signal
import sqlite3
import struct
import subprocess
import termios
import time
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import ADDRESS, ALREADY_SIGNED, FAILURE, HASH, OTHER_HASH, ROLLUP, SIGNED, SLASHING, UNAVAILABLE, USAGE, WATERMARK

VALIDATOR = ADDRESS.lower()
OTHER_ROLLUP = "0x" + "12" * 20


class StoreCase(e2e.DatabaseCase):
    __test__ = False

    def new_database(self):
        url = super().new_database()
        made = e2e.run("migrate", "up", "--database-url", url)
        self.assertEqual(made.returncode, 0, made.stderr)
        return url

    def run_on(self, command, *arguments, database=None, **options):
        return e2e.run(*command.split(), *arguments, "--database-url", database or self.database, **options)

    def succeed(self, command, *arguments, **options):
        done = self.run_on(command, *arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, command, *arguments, code=USAGE, **options):
        done = self.run_on(command, *arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        return done.stderr

    def sign_slots(self, *slots, **options):
        for slot in slots:
            done = self.sign(slot=slot, **options)
            self.assertEqual(done.returncode, SIGNED, done.stderr)

    def slots(self, *arguments, database=None):
        listed = self.succeed("duties list --json", *arguments, database=database)
        return [int(duty["slot"]) for duty in json.loads(listed.stdout)["duties"]]

    def watermarks(self, database=None):
        shown = json.loads(self.succeed("watermark show --json", database=database).stdout)
        return {entry["duty_type"]: (entry["low_slot"], entry["high_slot"]) for entry in shown["watermarks"]}

    def set_watermark(self, *arguments, duty_type="ATTESTATION"):
        return self.run_on("watermark set --rollup", ROLLUP, "--validator", ADDRESS, "--duty-type", duty_type, *arguments)

    def sql(self, text):
        """What another client of the tables does."""
        if self.store == "postgres":
            return e2e.postgres().sql(text, database=self.database.rsplit("/", 1)[1])
        connection = sqlite3.connect(self.database.removeprefix("sqlite:"))
        with connection:
            rows = connection.execute(text).fetchall()
        connection.close()
        return "\n".join("|".join(map(str, row)) for row in rows)

    def make_older(self, hours):
        if self.store == "postgres":
            time = "{0} - interval '%d hours'" % hours
        else:
            time = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', {0}, '-%d hours')" % hours
        self.sql(f"update validator_duties set started_at = {time.format('started_at')}, completed_at = {time.format('completed_at')}")


class DutiesTests(StoreCase):
    __test__ = False

    def setUp(self):
        super().setUp()
        self.sign_slots(5, 6, 7)
        self.sign_slots(7, node="node-2", duty_type="GOVERNANCE_VOTE")

    def test_filters(self):
        self.assertEqual(self.slots(), [7, 7, 6, 5])
        self.assertEqual(self.slots("--limit", "2"), [7, 7])
        self.assertEqual(self.slots("--from-slot", "6", "--duty-type", "ATTESTATION"), [7, 6])
        self.assertEqual(self.slots("--to-slot", "6"), [6, 5])
        self.assertEqual(self.slots("--slot", "6"), [6])
        self.assertEqual(self.slots("--node", "node-2"), [7])
        self.assertEqual(self.slots("--validator", ADDRESS), [7, 7, 6, 5])
        self.assertEqual(self.slots("--validator", "0x" + "99" * 20), [])
        self.assertEqual(self.slots("--rollup", OTHER_ROLLUP), [])
        self.assertEqual(self.slots("--status", "signing"), [])

    def test_wrong_filters_are_refused(self):
        for option, value in (("--slot", "-1"), ("--slot", "9223372036854775808"), ("--slot", "5x"), ("--validator", "0x12"), ("--duty-type", "TXS"),
                              ("--duty-type", "attestation"), ("--status", "done"), ("--limit", "0"), ("--node", "a\nb")):
            self.assertIn(f"{option} is '", self.refused("duties list", option, value))
        self.assertIn("contradict", self.refused("duties list", "--slot", "5", "--from-slot", "5"))
        self.assertIn("--from-slot is '6', but must be at most --to-slot", self.refused("duties list", "--from-slot", "6", "--to-slot", "5"))

    def test_a_table_for_people(self):
        lines = self.succeed("duties list").stdout.splitlines()
        self.assertRegex(lines[0], r"^SLOT +TYPE +BLOCK +VALIDATOR +STATUS +NODE +MESSAGE HASH +STARTED \(UTC\) +TOOK$")
        self.assertEqual(len(lines), 5)
        self.assertIn(VALIDATOR, lines[1])
        empty = self.run_on("duties list", "--slot", "99")
        self.assertEqual((empty.returncode, empty.stdout), (0, ""))
        self.assertIn("no duties match", empty.stderr)

    def test_the_table_fits_the_terminal(self):
        for columns in (80, 100, 140):
            controller, terminal = pty.openpty()
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            done = subprocess.run([e2e.PROGRAM, "duties", "list", "--database-url", self.database], stdin=subprocess.DEVNULL, stdout=terminal,
                                  stderr=subprocess.PIPE, env=e2e.clean_environment())
            os.close(terminal)
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = os.read(controller, 65536).decode().splitlines()
            os.close(controller)
            self.assertEqual(len(lines), 5)
            self.assertLessEqual(max(map(len, lines)), columns)
            self.assertIn("GOVERNANCE", "".join(lines))

    def test_show_prints_every_column(self):
        shown = self.succeed("duties show", "--slot", "5").stdout
        for column in ("rollup_address", "message_hash", "signature", "lock_token", "completed_at", "expires_at"):
            self.assertRegex(shown, rf"(?m)^{column} +\S")
        self.assertIn(HASH, shown)
        self.assertIn("no duty matches", self.refused("duties show", "--slot", "99", code=FAILURE))
        self.assertIn("--slot is missing", self.refused("duties show"))

    def test_watch_prints_what_changes(self):
        watching = e2e.start("duties", "watch", "--json", "--interval-ms", "50", "--from-slot", "7", "--database-url", self.database)
        self.addCleanup(watching.kill)
        first = [json.loads(watching.stdout.readline()) for _ in range(2)]
        self.assertEqual({change["change"] for change in first}, {"signed"})
        self.sign_slots(8)
        change = json.loads(watching.stdout.readline())
        if change["change"] == "signing":  # caught in the middle of it
            change = json.loads(watching.stdout.readline())
        self.assertEqual((change["change"], change["duty"]["slot"]), ("signed", "8"))
        self.sql("delete from validator_duties where slot = 8")
        change = json.loads(watching.stdout.readline())
        self.assertEqual((change["change"], change["duty"]["slot"]), ("removed", "8"))
        watching.send_signal(signal.SIGINT)
        self.assertEqual(watching.wait(timeout=20), 0)
        watching.stdout.close()
        watching.stderr.close()

    def test_nodes(self):
        nodes = {node["node_id"]: node for node in json.loads(self.succeed("nodes --json").stdout)["nodes"]}
        self.assertEqual(set(nodes), {"node-1", "node-2"})
        self.assertFalse(nodes["node-1"]["alive"])
        self.assertEqual(nodes["node-1"]["earlier_incarnations"], 2)
        running = e2e.Node(self.database, "node-3")
        self.addCleanup(running.stop)
        running.slot(0)
        running.wait("signed")
        nodes = {node["node_id"]: node for node in json.loads(self.succeed("nodes --json").stdout)["nodes"]}
        self.assertTrue(nodes["node-3"]["alive"])
        self.assertRegex(self.succeed("nodes").stdout, r"node-3 +alive")
        self.assertIn("node node-3 is alive: stop it first", self.refused("nodes remove node-3", code=FAILURE))
        self.assertIn("node node-4 is not registered", self.refused("nodes remove node-4"))
        self.assertIn("NODE_ID is ''", self.refused("nodes remove", ""))
        self.assertEqual(json.loads(self.succeed("nodes remove node-1 --json").stdout), {"removed": "node-1"})
        self.assertRegex(self.succeed("nodes remove node-2").stdout, "removed node node-2 from ")
        self.assertEqual([node["node_id"] for node in json.loads(self.succeed("nodes --json").stdout)["nodes"]], ["node-3"])


class WatermarkTests(StoreCase):
    __test__ = False

    def test_watermarks_are_set_for_all_validators_that_are_known(self):
        keys = self.folder.file("keys.json", json.dumps({"schemaVersion": 1, "validators": [
            {"attester": "0x" + format(number, "064x"), "feeRecipient": "0x" + "11" * 32} for number in (1, 2)]}))
        self.sign_slots(4)

        def every(*more):
            return self.run_on("watermark set --rollup", ROLLUP, "--validator", "all", "--duty-type", "ATTESTATION", *more)
        self.assertIn("no validator is known", every("--low", "5").stderr)
        asked = every("--low", "5", "--key-store-directory", keys)
        self.assertEqual((asked.returncode, self.watermarks()), (2, {}))
        self.assertIn("this forbids slots to 2 validators on every node", asked.stderr)
        done = every("--low", "5", "--key-store-directory", keys, "--json", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([one["validator_address"] for one in json.loads(done.stdout)["validators"]],
                         ["0x2b5ad5c4795c026514f8317c7a215e218dccd6cf", ADDRESS.lower()])
        self.assertEqual(every("--low", "4").returncode, 2)
        shown = every("--low", "6", "--yes")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(shown.stdout.count("5 -> 6"), 2)

    def test_watermarks_of_every_validator_hold_for_those_to_come(self):
        def every(*more):
            return self.run_on("watermark set --rollup", ROLLUP, "--validator", "every", "--duty-type", "ATTESTATION", *more)
        asked = every("--low", "5")
        self.assertEqual((asked.returncode, self.watermarks()), (2, {}))
        self.assertIn("every validator of the rollup, also of those to come", asked.stderr)
        done = every("--low", "5", "--yes", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["validator_address"], "every")
        self.assertEqual(self.sign(slot=5).returncode, WATERMARK)
        self.assertEqual(self.sign(slot=6).returncode, SIGNED)
        self.assertEqual(every("--low", "4").returncode, 2)
        shown = json.loads(self.succeed("watermark show --json --validator", ADDRESS).stdout)["watermarks"]
        self.assertEqual([(one["validator_address"], one["low_slot"]) for one in shown], [("every", "5")])
        # They move with the history.
        file, other = str(self.folder.path / f"{self.id()}.json"), self.new_database()
        self.succeed("export --output", file)
        self.succeed("import --keep-watermarks", file, database=other)
        self.assertEqual(self.sign(slot=5, database=other).returncode, WATERMARK)

    def test_set_show_and_obey(self):
        done = self.set_watermark("--low", "5", "--high", "10")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"ATTESTATION +none -> 5 +none -> 10")
        self.assertIn("do not obey watermarks", done.stderr)
        self.assertEqual(self.watermarks(), {"ATTESTATION": ("5", "10")})
        self.assertEqual([self.sign(slot=slot).returncode for slot in (5, 6, 10, 11)], [WATERMARK, SIGNED, SIGNED, WATERMARK])
        self.assertRegex(self.succeed("watermark show").stdout, rf"{VALIDATOR} +ATTESTATION +5 +10 ")

    def test_one_bound_keeps_the_other(self):
        self.set_watermark("--low", "5", "--high", "10")
        self.assertEqual(self.set_watermark("--low", "6").returncode, 0)
        self.assertEqual(self.watermarks(), {"ATTESTATION": ("6", "10")})
        self.assertEqual(self.set_watermark("--high", "9").returncode, 0)
        self.assertEqual(self.watermarks(), {"ATTESTATION": ("6", "9")})

    def test_all_types_at_once(self):
        done = self.set_watermark("--low", "5", "--json", duty_type="all")
        self.assertEqual(len(json.loads(done.stdout)["changes"]), 6)
        self.assertEqual(set(self.watermarks().values()), {("5", None)})
        self.assertEqual(len(self.watermarks()), 6)

    def test_allowing_more_needs_consent(self):
        self.set_watermark("--low", "5", "--high", "10")
        for change in (["--low", "4"], ["--low", "none"], ["--high", "11"], ["--high", "none"]):
            done = self.set_watermark(*change)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ""), done.stderr)
            self.assertIn("--yes", done.stderr)
            self.assertEqual(self.watermarks(), {"ATTESTATION": ("5", "10")})
        self.assertEqual(self.set_watermark("--low", "4", "--high", "none", "--yes").returncode, 0)
        self.assertEqual(self.watermarks(), {"ATTESTATION": ("4", None)})

    def test_a_person_at_a_terminal_is_asked(self):
        self.set_watermark("--low", "5")
        for answer, code, after in (("n\n", FAILURE, "5"), ("\n", FAILURE, "5"), ("y\n", 0, "4")):
            with e2e.Terminal([e2e.PROGRAM, "watermark", "set", "--database-url", self.database, "--rollup", ROLLUP, "--validator", ADDRESS,
                               "--duty-type", "ATTESTATION", "--low", "4"]) as asked:
                self.assertRegex(asked.read_until("[y/N]"), "ATTESTATION +5 -> 4")
                asked.write(answer)
                self.assertEqual(asked.wait(), code)
            self.assertEqual(self.watermarks(), {"ATTESTATION": (after, None)})

    def test_wrong_values_are_refused_before_anything_is_written(self):
        for options, said in ((["--low", "-1"], "--low is '-1'"), (["--high", "9223372036854775808"], "--high is '"), ([], "--low or --high is missing"),
                              (["--low", "5", "--timeout-ms", "0"], "--timeout-ms is '0'")):
            done = self.set_watermark(*options)
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(said, done.stderr)
        self.assertIn("--duty-type is 'TXS'", self.set_watermark("--low", "5", duty_type="TXS").stderr)
        self.assertIn("--validator is '0x1'", self.refused("watermark set", "--rollup", ROLLUP, "--validator", "0x1", "--duty-type", "all", "--low", "5"))
        self.assertIn("--rollup is missing", self.refused("watermark set", "--validator", ADDRESS, "--duty-type", "all", "--low", "5"))
        self.assertEqual(self.watermarks(), {})

    def hold_off_writers(self):
        """A transaction of another program, in which duties have been written; gives the function that ends it, after one more statement."""
        if self.store == "sqlite":
            connection = sqlite3.connect(self.database.removeprefix("sqlite:"), isolation_level=None)
            connection.execute("begin immediate")
            return lambda statement="select 1": (connection.execute(statement), connection.execute("commit"), connection.close())
        server = e2e.postgres()
        session = subprocess.Popen([server.clients / "psql", "-X", "-q", "-d", self.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        session.stdin.write("begin; lock table validator_duties in row exclusive mode;\n\\echo held\n")
        session.stdin.flush()
        self.assertEqual(session.stdout.readline(), "held\n")
        return lambda statement="select 1": session.communicate(f"{statement};\ncommit;\n", timeout=20)

    def test_waits_for_attempts_in_flight_but_not_without_end(self):
        let_go = self.hold_off_writers()
        done = self.set_watermark("--low", "5", "--timeout-ms", "300")
        self.assertEqual((done.returncode, done.stdout), (UNAVAILABLE, ""), done.stderr)
        waiting = e2e.start("watermark", "set", "--rollup", ROLLUP, "--validator", ADDRESS, "--duty-type", "ATTESTATION", "--low", "6", "--database-url", self.database)
        waiting.stderr.readline()  # the note, then it goes to work
        let_go()
        self.assertEqual(waiting.communicate(timeout=30)[0].split()[-4:-1], ["none", "->", "6"])
        self.assertEqual(waiting.returncode, 0)
        self.assertEqual(self.watermarks(), {"ATTESTATION": ("6", None)})

    def test_two_people_at_once_do_not_undo_each_other(self):
        self.set_watermark("--low", "5", "--high", "20")
        for theirs, mine, code, after in (("high_slot = 10", "6", 0, ("6", "10")), ("low_slot = 9", "8", FAILURE, ("9", "10"))):
            let_go = self.hold_off_writers()
            waiting = e2e.start("watermark", "set", "--rollup", ROLLUP, "--validator", ADDRESS, "--duty-type", "ATTESTATION", "--low", mine,
                                "--database-url", self.database)
            waiting.stderr.readline()
            let_go(f"update ha_signer_watermarks set {theirs}")
            said = waiting.communicate(timeout=30)
            self.assertEqual(waiting.returncode, code, said)
            self.assertEqual(self.watermarks(), {"ATTESTATION": after})
            if code:
                self.assertIn(f"another program has changed ATTESTATION of {VALIDATOR} meanwhile: low is 9, high is 10 now, and --low 8 would let more be signed", said[1])

    def test_bounds_that_leave_nothing_are_noted(self):
        self.assertIn("will not be signed at all", self.set_watermark("--low", "5", "--high", "5").stderr)


class PruneTests(StoreCase):
    __test__ = False

    def setUp(self):
        super().setUp()
        self.sign_slots(5, 6)
        self.make_older(72)
        self.sign_slots(7)

    def test_counts_then_removes_old_duties_and_keeps_them_protected(self):
        counted = self.succeed("prune --older-than 48 --dry-run")
        self.assertEqual(counted.stdout, "would remove 2 duties older than 48 hours\n")
        self.assertEqual(self.slots(), [7, 6, 5])
        self.assertIn("--yes", self.refused("prune --older-than 48"))
        self.assertEqual(self.slots(), [7, 6, 5])
        self.assertEqual(self.succeed("prune --older-than 48 --yes").stdout, "removed 2 duties older than 48 hours\n")
        self.assertEqual(self.slots(), [7])
        self.assertEqual(self.watermarks(), {"ATTESTATION": ("6", None)})
        self.assertEqual(self.sign(slot=5, message_hash=OTHER_HASH).returncode, WATERMARK)
        self.assertEqual(self.succeed("prune --older-than 48 --yes").stdout, "nothing to remove: 0 duties older than 48 hours\n")

    def test_rows_of_other_rollups_go_only_when_they_are_asked_for(self):
        self.assertEqual(self.succeed("prune --other-rollups --yes --rollup", ROLLUP).stdout[:17], "nothing to remove")
        removed = self.succeed("prune --other-rollups --yes --json --rollup", OTHER_ROLLUP)
        self.assertEqual(json.loads(removed.stdout)["removed"], 2)
        self.assertEqual(self.slots(), [7])

    def test_refused_while_nodes_sign_that_obey_no_watermark(self):
        self.sql("insert into validator_duties (rollup_address, validator_address, slot, block_number, duty_type, status, message_hash, node_id, lock_token"
                 + (", started_at" if self.store == "sqlite" else "") + f") values ('{ROLLUP}', '{VALIDATOR}', 8, 0, 'ATTESTATION', 'signed', '{HASH}', "
                 f"'published', '{'7' * 32}'" + (", strftime('%Y-%m-%d %H:%M:%f', 'now')" if self.store == "sqlite" else "") + ")")
        self.assertIn("nodes of the published package", self.refused("prune --older-than 48 --yes", code=FAILURE))
        self.assertEqual(self.slots(), [8, 7, 6, 5])

    def test_expired_duties(self):
        time = "current_timestamp - interval '1 hour'" if self.store == "postgres" else "'2026-01-01 00:00:00.000000'"
        self.sql(f"update validator_duties set expires_at = {time} where slot = 7")
        self.assertEqual(self.succeed("prune --expired --yes").stdout, "removed 1 signed duties past their deadline\n")
        self.assertEqual(self.slots(), [6, 5])

    def test_contradictory_or_missing_options_are_refused(self):
        self.assertIn("name what to remove", self.refused("prune"))
        self.assertIn("--rollup is missing", self.refused("prune --other-rollups"))
        self.assertIn("contradict", self.refused("prune --expired --older-than 5"))
        self.assertIn("contradict", self.refused("prune --expired --other-rollups --rollup", ROLLUP))
        for hours in ("0", "-1", "x", "1.5", "87601"):
            self.assertIn(f"--older-than is '{hours}'", self.refused("prune --older-than", hours))


class HistoryTests(StoreCase):
    __test__ = False

    def setUp(self):
        super().setUp()
        self.sign_slots(5, 6)
        self.sign_slots(6, duty_type="SLASHING_VOTE")
        self.file = str(self.folder.path / f"{self.id()}.json")
        self.other = self.new_database()

    def export(self, database=None):
        self.succeed("export --output", self.file, database=database)
        return json.loads(Path(self.file).read_text())

    def rewrite(self, history):
        Path(self.file).write_text(json.dumps(history))

    def test_a_history_moves_to_another_database(self):
        history = self.export()
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        self.assertEqual((history["format"], history["version"], len(history["duties"])), ("ha-signer protection history", 1, 3))
        self.assertRegex(history["cluster_id"], "^[0-9a-f]{32}$")
        done = self.succeed("import", self.file, database=self.other)
        self.assertTrue(done.stdout.startswith("imported 3 duties into "), done.stdout)
        self.assertEqual(self.watermarks(self.other), {"ATTESTATION": ("6", None), "SLASHING_VOTE": ("6", None)})
        again = self.export(self.other)
        self.assertEqual(again["duties"], history["duties"])
        self.assertNotEqual(again["cluster_id"], history["cluster_id"])
        # What was signed there is not signed here: not what is in the file, nor what may have been removed before.
        self.assertEqual(self.sign(slot=6, message_hash=OTHER_HASH, database=self.other).returncode, SLASHING)
        self.assertEqual(self.sign(slot=4, database=self.other).returncode, WATERMARK)
        self.assertEqual(self.sign(slot=7, database=self.other).returncode, SIGNED)

    def test_importing_twice_changes_nothing(self):
        self.export()
        self.succeed("import", self.file, database=self.other)
        before = self.export(self.other)
        done = json.loads(self.succeed("import --json", self.file, database=self.other).stdout)
        self.assertEqual((done["imported"], done["already_there"]), (0, len(before["duties"])))
        self.assertEqual(self.export(self.other)["duties"], before["duties"])

    def test_watermarks_are_kept_when_asked_for(self):
        self.export()
        self.succeed("import --keep-watermarks", self.file, database=self.other)
        self.assertEqual(self.watermarks(self.other), {})

    def test_an_import_never_lowers_a_watermark(self):
        self.set_watermark("--low", "3", "--high", "100")
        self.export()
        stricter = ["--rollup", ROLLUP, "--validator", ADDRESS, "--duty-type", "ATTESTATION"]
        self.succeed("watermark set", *stricter, "--low", "50", "--high", "60", database=self.other)
        self.succeed("import", self.file, database=self.other)
        self.assertEqual(self.watermarks(self.other)["ATTESTATION"], ("50", "60"))

    def test_an_absurd_watermark_is_exported_as_the_latest_slot_that_can_have_begun(self):
        self.set_watermark("--low", str(2**63 - 2), "--high", str(2**63 - 1), duty_type="GOVERNANCE_VOTE")
        self.assertIn("not importable: the watermark of GOVERNANCE_VOTE", self.refused("export --output", self.file, code=FAILURE))
        self.assertIn("kept out: the watermark of GOVERNANCE_VOTE", self.succeed("export --partial --output", self.file).stderr)
        self.succeed("import", self.file, database=self.other)
        low, high = self.watermarks(self.other)["GOVERNANCE_VOTE"]
        self.assertTrue(100 < int(low) < 10**9, low)
        self.assertEqual(high, str(2**63 - 1))

    def test_a_conflict_is_reported_and_nothing_is_imported(self):
        self.export()
        self.assertEqual(self.sign(slot=6, message_hash=OTHER_HASH, database=self.other).returncode, SIGNED)
        said = self.refused("import", self.file, database=self.other, code=SLASHING)
        self.assertIn("1 conflict with what this database has on record; nothing was imported", said)
        self.assertIn(f"ATTESTATION of {VALIDATOR} for slot 6", said)
        self.assertEqual(self.slots(database=self.other), [6])
        self.assertEqual(self.watermarks(self.other), {})
        answer = self.run_on("import --json", self.file, database=self.other)
        self.assertEqual(json.loads(answer.stdout)["error"]["kind"], "conflict")

    def test_duties_still_being_signed_are_exported_and_stay_so(self):
        history = self.export()
        duty = history["duties"][0]
        duty.update(status="signing", signature=None, completed_at=None)
        self.rewrite(history)
        self.succeed("import", self.file, database=self.other)
        imported = json.loads(self.succeed("duties list --json --status signing", database=self.other).stdout)["duties"]
        self.assertEqual([(one["slot"], one["lock_token"]) for one in imported], [(duty["slot"], duty["lock_token"])])
        exported = self.succeed("export", database=self.other)
        self.assertIn("(1 still signing)", exported.stderr)
        self.assertIn(imported[0], json.loads(exported.stdout)["duties"])

    def test_a_file_that_is_not_exactly_of_the_format_is_refused(self):
        history = self.export()
        for change, said in ((lambda h: h.update(version=2), "version is '2'"), (lambda h: h.update(comment="x"), "comment is not a field"),
                             (lambda h: h.pop("watermarks"), "watermarks is missing"),
                             (lambda h: h["duties"][1].update(slot=6), "duties[1].slot is '6', but must be a text"),
                             (lambda h: h["duties"][2].update(message_hash=""), "duties[2]")):
            changed = json.loads(json.dumps(history))
            change(changed)
            self.rewrite(changed)
            self.assertIn(said, self.refused("import", self.file, database=self.other))
        Path(self.file).write_text("{")
        self.assertIn("not JSON", self.refused("import", self.file, database=self.other))
        self.assertIn("cannot read /nowhere", self.refused("import", "/nowhere", database=self.other))
        self.assertEqual(self.slots(database=self.other), [])

    def test_an_export_names_the_keys_that_are_disabled_since_the_file_does_not(self):
        self.succeed("keys disable", VALIDATOR)
        said = self.succeed("export --output", self.file).stderr
        self.assertIn(f"note: the key {VALIDATOR} is disabled here", said)
        self.succeed("import", self.file, database=self.other)
        self.assertEqual(json.loads(self.succeed("keys disabled --json", database=self.other).stdout)["disabled"], [])
        self.succeed("keys enable", VALIDATOR)
        self.assertNotIn("disabled", self.succeed("export --output", self.file).stderr)

    def test_an_export_that_cannot_be_written_leaves_what_was_there(self):
        self.assertIn("cannot write /nowhere/x.json", self.refused("export --output /nowhere/x.json"))
        before = os.listdir(self.folder.path)
        self.export()
        self.export()
        self.assertEqual(set(os.listdir(self.folder.path)) - set(before) - {Path(self.file).name}, set())

    def test_a_clock_that_is_wrong_exports_nothing(self):
        self.sign_slots(500)
        history = self.export()
        # Slot 0 is to begin tomorrow, as a clock sees it that is behind.
        clock = ("--slot-duration-s", "72", "--genesis-time", str(int(time.time()) + 86_400))
        said = self.refused("export --output", self.file, *clock, code=FAILURE)
        self.assertIn(f"not importable: the duty ATTESTATION of validator {VALIDATOR}", said)
        self.assertIn("by this machine's clock, which says", said)
        self.assertIn("nothing was exported: import would refuse 1 entry", said)
        self.assertEqual(json.loads(Path(self.file).read_text()), history)
        self.assertIn("not complete: 1 entry kept out", self.succeed("export --partial --output", self.file, *clock).stderr)
        self.assertEqual(len(json.loads(Path(self.file).read_text())["duties"]), len(history["duties"]) - 1)

    def test_what_an_import_would_refuse_is_named_and_kept_out_of_a_partial_export(self):
        has_unicode = self.store == "sqlite" or os.environ.get("HASIGNER_PG_ENCODING", "UTF8") == "UTF8"
        turning = "node-\u202e1\u200b" if has_unicode else "node-1"
        self.sql("update validator_duties set lock_token = '' where slot = 5")
        self.sql(f"update validator_duties set node_id = '{turning}' where slot = 6")
        said = self.refused("export --output", self.file, code=FAILURE)
        self.assertIn(f"not importable: the duty ATTESTATION of validator {VALIDATOR} for slot 5", said)
        self.assertIn("nothing was exported: import would refuse 1 entry, named above", said)
        self.assertFalse(Path(self.file).exists())
        said = self.succeed("export --partial --output", self.file).stderr
        self.assertIn(f"kept out: the duty ATTESTATION of validator {VALIDATOR} for slot 5", said)
        self.assertIn("exported 2 duties (0 still signing)", said)
        self.assertIn("not complete: 1 entry kept out", said)
        self.succeed("import", self.file, database=self.other)
        self.assertEqual(self.slots(database=self.other), [6, 6])
        # Characters that turn or hide text reach no terminal, and a program gets them as they are.
        listed = self.succeed("duties list --json", database=self.other).stdout
        self.assertTrue(listed.isascii())
        self.assertEqual({duty["node_id"] for duty in json.loads(listed)["duties"]}, {turning})
        self.assertIn("node-\\u{202e}1\\u{200b}" if has_unicode else "node-1", self.succeed("duties list", database=self.other).stdout)

    def test_an_import_reads_standard_input(self):
        self.export()
        done = self.run_on("import", "-", database=self.other, stdin=Path(self.file).read_text())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.slots(database=self.other), [6, 6, 5])


class NodeHistoryTests(StoreCase):
    """import --lmdb: the history of a single Aztec node. liblmdb writes it, by the test program node_store."""

    __test__ = False

    def setUp(self):
        super().setUp()
        self.data = self.folder.path / self.id()
        self.lmdb = self.data / "signing-protection"

    def write(self, *duties, schema=2):
        version = ["--schema", str(schema)] if schema else []
        who = ["--rollup", ROLLUP, "--validator", VALIDATOR]
        subprocess.run([e2e.node_store(), str(self.lmdb), *who, *version, *duties], check=True)

    def test_the_history_of_a_node_protects_here(self):
        self.write("7:ATTESTATION:-1:signed:a", "8:ATTESTATION:-1:signed:b", "9:ATTESTATION:-1:signing:c", "8:BLOCK_PROPOSAL:0:signed:d")
        done = self.succeed("import --lmdb", str(self.lmdb))
        self.assertRegex(done.stdout, "^imported 4 duties into .*; 0 were there already; 2 watermarks applied\n$")
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.watermarks(), {"ATTESTATION": ("8", None), "BLOCK_PROPOSAL": ("8", None)})
        duties = json.loads(self.succeed("duties list --json").stdout)["duties"]
        self.assertEqual(sorted((duty["slot"], duty["duty_type"], duty["status"], duty["message_hash"][:3]) for duty in duties),
                         [("7", "ATTESTATION", "signed", "0xa"), ("8", "ATTESTATION", "signed", "0xb"),
                          ("8", "BLOCK_PROPOSAL", "signed", "0xd"), ("9", "ATTESTATION", "signing", "0xc")])
        again = json.loads(self.succeed("import --json --lmdb", str(self.lmdb)).stdout)
        self.assertEqual(again, {"imported": 0, "already_there": 4, "watermarks": 2})

    def test_what_the_node_has_or_may_have_signed_is_refused(self):
        self.write("7:ATTESTATION:-1:signed:a", "9:ATTESTATION:-1:signing:c")
        self.succeed("import --lmdb", str(self.lmdb))
        sign = lambda slot, digit: self.sign(slot=slot, message_hash="0x" + digit * 64).returncode
        self.assertEqual(sign(7, "b"), SLASHING)
        self.assertEqual(sign(9, "d"), ALREADY_SIGNED)
        self.assertEqual(sign(6, "b"), WATERMARK)
        self.assertEqual(sign(10, "b"), SIGNED)

    def test_a_conflict_imports_nothing(self):
        self.write("7:ATTESTATION:-1:signed:a")
        self.succeed("import --lmdb", str(self.lmdb))
        self.write("7:ATTESTATION:-1:signed:b", "8:ATTESTATION:-1:signed:a")
        said = self.refused("import --lmdb", str(self.lmdb), code=SLASHING)
        self.assertIn("1 conflict with what this database has on record; nothing was imported", said)
        self.assertEqual(self.slots(), [7])

    def test_a_live_node_is_refused(self):
        self.write("7:ATTESTATION:-1:signed:a")
        with subprocess.Popen([e2e.node_store(), str(self.lmdb), "--hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as node:
            self.assertEqual(node.stdout.readline(), b"open\n")
            said = self.refused("import --lmdb", str(self.lmdb), code=UNAVAILABLE)
            self.assertIn(f'a node works on "{self.lmdb}" (it holds the lock of lock.mdb): stop that node first', said)
            node.stdin.close()
        self.succeed("import --lmdb", str(self.lmdb))

    def test_what_cannot_be_read_is_named(self):
        self.assertIn("is not there", self.refused("import --lmdb", str(self.data)))
        self.data.mkdir()
        self.assertIn("has no data.mdb", self.refused("import --lmdb", str(self.data)))
        self.write("7:ATTESTATION:-1:signed:a", schema=None)
        self.assertIn("name its folder signing-protection", self.refused("import --lmdb", str(self.data)))
        self.assertIn("has no db_version", self.succeed("import --lmdb", str(self.lmdb)).stderr)
        (self.lmdb / "db_version").write_text('{"schemaVersion":4}')
        self.assertIn("use a newer version", self.refused("import --lmdb", str(self.lmdb)))
        (self.lmdb / "db_version").unlink()
        os.truncate(self.lmdb / "data.mdb", 9000)
        self.assertIn("cannot be read: page", self.refused("import --lmdb", str(self.lmdb)))

    def test_one_history_at_a_time(self):
        self.assertIn("give FILE, or --lmdb DIR", self.refused("import"))
        self.assertIn("FILE excludes --lmdb", self.refused("import --lmdb", str(self.lmdb), "file.json"))


class SqliteFileTests(unittest.TestCase):
    def test_reading_does_not_make_a_database(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        path = folder.path / "misspelt.db"
        for command in ("duties list", "nodes", "watermark show", "export", "prune --older-than 5", "migrate status"):
            answer = e2e.run(*command.split(), "--database-url", f"sqlite:{path}")
            self.assertEqual((answer.returncode, answer.stdout), (USAGE, ""), command)
            self.assertIn(f"there is no database {path}", answer.stderr)
            self.assertFalse(path.exists())

    def test_a_file_of_something_else_is_refused_and_left_alone(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        for content in ("a letter to my aunt\n" * 100, ""):
            path = folder.file("other.db", content)
            if not content:
                connection = sqlite3.connect(path)
                connection.execute("create table cooking (recipe)")
                connection.close()
            before = Path(path).read_bytes()
            for command in ("duties list", "migrate up", "export"):
                answer = e2e.run(*command.split(), "--database-url", f"sqlite:{path}")
                self.assertEqual((answer.returncode, answer.stdout), (USAGE, ""), answer.stderr)
                self.assertIn(path, answer.stderr)
            self.assertEqual(Path(path).read_bytes(), before)


def for_each_store(*cases):
    """Each case once for every store."""
    for case in cases:
        for store in ("sqlite", "postgres"):
            name = f"{store.capitalize()}{case.__name__}"
            globals()[name] = type(name, (case,), {"store": store, "__test__": True, "__module__": __name__})


for_each_store(DutiesTests, WatermarkTests, PruneTests, HistoryTests, NodeHistoryTests)


if __name__ == "__main__":
    e2e.main()
