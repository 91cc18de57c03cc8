#!/usr/bin/env python3
"""Services whose database forgets, and what their journals make of it: a file that is copied back, a restored backup, a standby that lacks commits."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
import unittest
from pathlib import Path

import e2e_support as e2e
from service_support import Service, context_of

SIGNED, OTHER = "0xaa", "0xbb"
# An attempt asks again until its end, as it does while the database is out.
IMPATIENT = {"VALIDATOR_HA_ATTEMPT_TIMEOUT_MS": "3000"}
ELSEWHERE = "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"  # A validator whose key the service does not have.


def copied(source, target):
    """What there is of a SQLite database, in place of what there was."""
    for ending in ("", "-wal", "-shm"):
        Path(f"{target}{ending}").unlink(missing_ok=True)
        if Path(f"{source}{ending}").exists():
            shutil.copy2(f"{source}{ending}", f"{target}{ending}")


def older(journal, slot):
    """As if the entry had been written long before the latest one, so that it is not one of the moment of a kill."""
    connection = sqlite3.connect(journal)
    connection.execute("update journal_entries set written_at = written_at - 3600 where slot = ?", [slot])
    connection.commit()
    connection.close()


def duty(digit, slot):
    return {"validator": ELSEWHERE, "messageHash": "0x" + digit * 64, "context": context_of(slot)}


def claim(service, digit, slot):
    return service.post("/api/v1/duties/claim", duty(digit, slot))


class JournalCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)

    def check_refused(self, service, slot):
        refused = service.sign(OTHER, slot=slot)
        self.assertEqual((refused.status, refused.kind), (412, "slashing_protection"), refused.text)
        self.assertIn("database_forgot", service.wait_for("database_forgot")["event"])
        self.assertEqual(service.figure("ha_signer_journal_forgotten_by_store"), 1)


class FileCopiedBack(JournalCase):
    def setUp(self):
        super().setUp()
        self.file = self.folder.path / "service/data/signing-protection.db"
        self.journal = self.folder.path / "service/data/journal/released.db"
        self.backup = self.folder.path / "backup.db"

    def service(self, *arguments, **more):
        service = Service(self.folder.path, *arguments, **more)
        self.addCleanup(service.stop)
        return service

    def forget_slot_6(self, *arguments):
        """Of a service that has signed slots 5 and 6, the file is that of slot 5."""
        service = self.service(*arguments)
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        self.assertEqual(service.stop(), 0)
        copied(self.file, self.backup)
        service = self.service(*arguments)
        self.assertEqual(service.sign(SIGNED, slot=6).status, 200)
        self.assertEqual(service.stop(), 0)
        copied(self.backup, self.file)

    def test_no_second_message(self):
        self.forget_slot_6()
        older(self.journal, 6)
        service = self.service()
        self.assertEqual(service.sign(SIGNED, slot=7).status, 200)
        self.check_refused(service, 6)
        self.assertEqual(service.sign(SIGNED, slot=6).status, 200)
        self.assertEqual(service.get("/readyz").status, 200)

    def test_without_a_journal_there_is_a_second_message(self):
        self.forget_slot_6("--journal=false")
        service = self.service("--journal=false")
        self.assertEqual(service.sign(OTHER, slot=6).status, 200)
        self.assertIn("--journal", service.wait_for("keeps_no_journal")["meaning"])
        self.assertNotIn("journal", [check["name"] for check in service.get("/readyz").json["checks"]])
        self.assertFalse(self.journal.exists())

    def test_a_killed_service_forgets_nothing(self):
        service = self.service()
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        copied(self.file, self.backup)
        self.assertEqual(service.sign(SIGNED, slot=6).status, 200)
        service.kill()
        copied(self.backup, self.file)
        service = self.service()
        self.assertEqual(service.sign(OTHER, slot=6).kind, "slashing_protection")
        self.assertEqual(service.sign(OTHER, slot=7).status, 200)

    def test_a_duty_that_was_handed_out_is_remembered_and_one_that_was_given_back_is_not(self):
        service = self.service()
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        service.stop()
        copied(self.file, self.backup)
        service = self.service()
        self.assertEqual(claim(service, "a", 6).status, 200)
        held = duty("a", 7) | {"lockToken": claim(service, "a", 7).json["lockToken"]}
        self.assertEqual(service.post("/api/v1/duties/release", held).json, {"released": True})
        service.stop()
        copied(self.backup, self.file)
        service = self.service()
        self.assertEqual(claim(service, "b", 6).kind, "slashing_protection")
        self.assertEqual(claim(service, "b", 7).status, 200)

    def test_a_journal_that_is_lost_or_an_old_copy_takes_up_what_the_database_has(self):
        service = self.service()
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        service.stop()
        copied(self.file, self.backup)
        copied(self.journal, self.folder.path / "journal.copy")
        service = self.service()
        self.assertEqual(service.sign(SIGNED, slot=6).status, 200)
        service.stop()
        copied(self.folder.path / "journal.copy", self.journal)
        service = self.service()
        self.assertIn("an old copy", service.wait_for("journal_lacked")["what"])
        service.stop()
        shutil.rmtree(self.journal.parent)
        service = self.service()
        self.assertIn("2 duties", service.wait_for("journal_lacked")["what"])
        service.stop()
        copied(self.backup, self.file)
        service = self.service()
        self.assertEqual(service.sign(OTHER, slot=6).kind, "slashing_protection")

    def test_a_new_journal_does_not_take_up_a_duty_that_is_not_signed(self):
        service = self.service()
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        held = duty("a", 6) | {"lockToken": claim(service, "a", 6).json["lockToken"]}
        service.stop()
        shutil.rmtree(self.journal.parent)
        service = self.service()
        self.assertIn("1 duties", service.wait_for("journal_lacked")["what"])
        self.assertEqual(service.post("/api/v1/duties/release", held).json, {"released": True})
        self.assertEqual(claim(service, "b", 6).status, 200)

    def test_a_journal_is_kept_for_one_process_and_its_owner(self):
        self.service()
        self.assertEqual(self.journal.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.journal.parent.stat().st_mode & 0o777, 0o700)
        with self.assertRaises(sqlite3.OperationalError):
            sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=0).execute("select * from journal_entries")
        second = Service(self.folder.path, "--data-directory", str(self.folder.path / "service/data"), name="second",
                         database=f"sqlite:{self.folder.path}/other.db", wait=False)
        self.addCleanup(second.stop)
        self.assertEqual(second.process.wait(timeout=60), e2e.USAGE)
        self.assertIn("in use by another process", second.log())

    def test_a_journal_that_is_replaced_under_a_running_service_stops_it(self):
        service = self.service(environment=IMPATIENT)
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        shutil.copy2(self.journal, f"{self.journal}.copy")
        os.rename(f"{self.journal}.copy", self.journal)
        refused = service.sign(SIGNED, slot=6)
        self.assertNotEqual(refused.status, 200)
        self.assertIn("another file has taken the place", service.wait_for("journal_fails")["reason"])
        ready = service.get("/readyz")
        self.assertEqual(ready.status, 503)
        self.assertEqual([check["name"] for check in ready.json["checks"] if not check["ok"]], ["journal"])
        self.assertEqual(service.figure("ha_signer_journal_failing"), 1)

    def test_what_cannot_hold_a_journal_is_refused_at_the_start(self):
        def refusal(*arguments, **environment):
            service = Service(self.folder.path, *arguments, name="refused", data=False, database=f"sqlite:{self.folder.path}/x.db", wait=False,
                              environment=environment)
            self.addCleanup(service.stop)
            self.assertEqual(service.process.wait(timeout=60), e2e.USAGE)
            return service.log()

        file = self.folder.path / "a-file"
        file.write_text("")
        self.assertIn("cannot be made", refusal("--data-directory", str(file)))
        self.assertIn("cannot be made", refusal("--data-directory", "/proc/nothing"))
        data = self.folder.path / "damaged"
        (data / "journal").mkdir(parents=True, mode=0o700)
        (data / "journal/released.db").write_bytes(b"not a database" * 1000)
        said = refusal("--data-directory", str(data))
        self.assertIn("released.db", said)
        self.assertIn("not a database", said)

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount")
    def test_a_full_disk_stops_it_and_room_makes_it_go_on(self):
        disk = self.folder.path / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", disk], check=True)
        service = Service(self.folder.path, "--data-directory", str(disk / "data"), database=f"sqlite:{self.folder.path}/shared.db",
                          environment=IMPATIENT)
        self.addCleanup(service.stop)
        self.assertEqual(service.sign(SIGNED, slot=1).status, 200)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"0" * 4096):
                pass
        slot = 2
        while service.sign(SIGNED, slot=slot).status == 200:  # As long as the log's file has room.
            slot += 1
        self.assertIn("full", service.wait_for("journal_fails")["reason"])
        self.assertEqual(service.get("/readyz").status, 503)
        filler.unlink()
        give_up_at = time.monotonic() + 30
        while service.get("/readyz").status != 200 and time.monotonic() < give_up_at:
            time.sleep(0.1)
        self.assertEqual(service.sign(SIGNED, slot=slot + 1).status, 200)

    def test_without_a_folder_the_start_says_so(self):
        service = self.service("--allow-ephemeral-signing-protection", data=False)
        self.assertIn("DATA_DIRECTORY", service.wait_for("keeps_no_journal")["meaning"])

    def test_systemds_state_directory_is_as_good(self):
        state = self.folder.path / "state"
        service = self.service(database=f"sqlite:{self.folder.path}/shared.db", environment={"STATE_DIRECTORY": f"{state}:/other"})
        self.assertTrue((state / "journal/released.db").exists())
        self.assertIn("journal", [check["name"] for check in service.get("/readyz").json["checks"]])


class ServerForgets(JournalCase):
    def setUp(self):
        super().setUp()
        self.server = e2e.PostgresServer()
        self.addCleanup(self.server.stop, "immediate")
        self.database = self.server.new_database()

    def service(self, database, *arguments, node="node-1", **more):
        service = Service(self.folder.path, "--data-directory", str(self.folder.path / node), *arguments, database=database, node=node, name=node, **more)
        self.addCleanup(service.stop)
        return service

    def kill(self, service):
        """As if the service had been killed long after it had signed."""
        service.kill()
        older(self.folder.path / "node-1/journal/released.db", 6)

    def restore_backup(self, *arguments, before_start=lambda service: None):
        """A server that is restored from a backup while the service runs, which has signed slot 6 since."""
        service = self.service(self.database, *arguments)
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        data, backup = self.server.folder.path / "data", self.server.folder.path / "backup"
        self.server._call("pg_basebackup", "-D", backup, "-d", self.server.url(), "--checkpoint=fast", "--no-sync")
        self.assertEqual(service.sign(SIGNED, slot=6).status, 200)
        self.server.stop("immediate")
        data.rename(data.with_name("lost"))
        backup.rename(data)
        before_start(service)
        self.server.start()
        return service

    def test_a_restored_backup_leads_to_no_second_message(self):
        service = self.restore_backup()
        self.check_refused(service, 6)
        self.assertEqual(service.sign(OTHER, slot=7).status, 200)

    def test_what_a_restored_backup_lacks_is_written_back_so_that_other_nodes_refuse(self):
        other = self.service(self.database, node="node-2")
        service = self.restore_backup()
        self.assertEqual(service.wait_for("written_back")["what"], "1 duties")
        self.assertEqual(other.sign(OTHER, slot=6).kind, "slashing_protection")
        self.assertEqual(service.figure("ha_signer_journal_written_back"), 1)
        duty = self.server.sql("select status, node_id, block_number from validator_duties where slot = 6", self.database.rsplit("/", 1)[1])
        self.assertEqual(duty, "signed|node-1|0")
        self.assertEqual(other.sign(OTHER, slot=7).status, 200)

    def test_what_another_node_has_signed_after_a_backup_was_restored_is_told(self):
        service = self.restore_backup(before_start=self.kill)
        other = self.service(self.database, "--journal=false", node="node-2")
        self.assertEqual(other.sign(OTHER, slot=6).status, 200)
        service = self.service(self.database)
        self.assertIn("node-2", service.wait_for("database_contradicts")["duty"])
        self.assertEqual(service.figure("ha_signer_journal_contradicted_by_store"), 1)

    def test_a_new_node_does_not_sign_in_a_restored_backup_what_a_node_may_have_signed_that_is_gone(self):
        self.restore_backup(before_start=self.kill)
        other = self.service(self.database, node="node-2")
        self.assertEqual(other.sign(OTHER, slot=6).kind, "outside_watermark")
        self.assertIn("node-1", other.wait_for("guard_forbids")["what"])
        self.assertEqual(other.sign(OTHER, slot=7).status, 200)

    def test_a_restored_backup_leads_to_no_second_message_after_a_restart_either(self):
        self.restore_backup().kill()
        service = self.service(self.database)
        self.assertEqual(service.sign(OTHER, slot=6).kind, "slashing_protection")
        self.assertEqual(service.sign(OTHER, slot=7).status, 200)

    def test_without_a_journal_there_is_a_second_message(self):
        service = self.restore_backup("--journal=false")
        self.assertEqual(service.sign(OTHER, slot=6).status, 200)

    def standby_of(self):
        """A standby that follows asynchronously, and the URL that leads to whichever server takes writes."""
        port, self.standby = e2e.free_port(), self.server.folder.path / "standby"
        self.server._call("pg_basebackup", "-D", self.standby, "-d", self.server.url(), "--checkpoint=fast", "--no-sync", "-R")
        self.server._call("pg_ctl", "start", "--wait", "--silent", "-D", self.standby, "-l", self.server.folder.path / "standby.log",
                          "-o", f"-p {port} -k {self.server.folder.path} -c listen_addresses=127.0.0.1 -c fsync=off")
        self.addCleanup(self.server._call, "pg_ctl", "stop", "-D", self.standby, "-m", "immediate")
        self.standby_port = port
        return self.database.replace(f":{self.server.port}/", f":{self.server.port},127.0.0.1:{port}/") + "?target_session_attrs=read-write"

    def on_standby(self, text, database="postgres"):
        return self.server._call("psql", "--no-psqlrc", "--tuples-only", "--no-align", "-d",
                                 f"postgresql://postgres@127.0.0.1:{self.standby_port}/{database}", "-c", text).strip()

    def wait_for_standby(self, condition):
        give_up_at = time.monotonic() + 30
        while self.on_standby(f"select {condition}") != "t":
            self.assertLess(time.monotonic(), give_up_at, condition)
            time.sleep(0.05)

    def leave_standby_behind(self):
        """It has all that there is by now, and nothing of what comes."""
        position = self.server.sql("select pg_current_wal_lsn()")
        self.wait_for_standby(f"pg_last_wal_replay_lsn() >= '{position}'::pg_lsn")
        self.on_standby("alter system set primary_conninfo = ''")
        self.on_standby("select pg_reload_conf()")
        self.wait_for_standby("not exists (select from pg_stat_wal_receiver)")

    def fail_over(self):
        self.server.stop("immediate")
        self.server._call("pg_ctl", "promote", "--wait", "--silent", "-D", self.standby)

    def test_an_asynchronous_standby_that_is_promoted_leads_to_no_second_message(self):
        service = self.service(self.standby_of())
        self.assertEqual(service.sign(SIGNED, slot=5).status, 200)
        self.leave_standby_behind()
        self.assertEqual(service.sign(SIGNED, slot=6).status, 200)
        self.fail_over()
        self.check_refused(service, 6)
        self.assertEqual(service.sign(OTHER, slot=7).status, 200)

    def message_of(self, slot):
        return self.on_standby(f"select string_agg(status || ' ' || node_id, ',') from validator_duties where slot = {slot}", self.database.rsplit("/", 1)[1])

    def test_another_node_that_is_asked_at_once_after_the_failover_waits_until_what_was_lost_is_written_back(self):
        both = self.standby_of()
        node_1, node_2 = self.service(both), self.service(both, node="node-2")
        self.assertEqual(node_1.sign(SIGNED, slot=5).status, 200)
        self.assertEqual(node_2.sign(SIGNED, slot=4).status, 200)
        self.leave_standby_behind()
        for slot in range(6, 16):
            self.assertEqual(node_1.sign(SIGNED, slot=slot).status, 200)
        self.fail_over()
        refused = [node_2.sign(OTHER, slot=slot) for slot in range(6, 16)]
        self.assertEqual([(answer.status, answer.kind) for answer in refused], [(412, "slashing_protection")] * 10, refused[0].text)
        self.assertEqual([self.message_of(slot) for slot in range(6, 16)], ["signed node-1"] * 10)
        # At its start it had waited for the other node, too: its journal was new.
        self.assertIn("timeline", node_2.wait_for("guard_holds", count=2)["reason"])
        node_2.wait_for("guard_cleared", count=2)
        self.assertNotIn("guard_forbids", node_2.log())
        self.assertEqual(node_2.sign(OTHER, slot=16).status, 200)
        self.assertEqual(node_2.get("/readyz").status, 200)
        self.assertEqual(node_2.figure("ha_signer_guard_holds"), 0)
        self.assertGreaterEqual(node_2.figure("ha_signer_guard_holds_begun"), 1)

    def test_what_a_node_had_signed_that_does_not_come_back_is_forbidden(self):
        both = self.standby_of()
        node_1, node_2 = self.service(both), self.service(both, node="node-2")
        self.assertEqual(node_1.sign(SIGNED, slot=5).status, 200)
        self.leave_standby_behind()
        self.assertEqual(node_1.sign(SIGNED, slot=6).status, 200)
        node_1.kill()
        self.fail_over()
        refused = node_2.sign(OTHER, slot=6)
        self.assertEqual((refused.status, refused.kind), (412, "outside_watermark"), refused.text)
        self.assertIn("node-1", node_2.wait_for("guard_forbids")["what"])
        self.assertEqual(node_2.sign(OTHER, slot=7).status, 200)

    def test_an_operator_can_end_the_wait(self):
        both = self.standby_of()
        made = json.loads(e2e.run("token", "--name", "olga", "--rights", "sign,operate,read", "--json").stdout)
        token, token_file = made["token"], self.folder.file("token", made["token"] + "\n")
        node_1 = self.service(both)
        node_2 = self.service(both, node="node-2", environment=IMPATIENT, clients=made["line"] + "\n")
        self.assertEqual(node_1.sign(SIGNED, slot=5).status, 200)
        self.leave_standby_behind()
        # As a node whose journal cannot be written: it lives, and cannot compare.
        journal = self.folder.path / "node-1/journal/released.db"
        shutil.copy2(journal, f"{journal}.copy")
        os.rename(f"{journal}.copy", journal)
        self.fail_over()
        # An attempt that was under way when the server went is in doubt; the next one is told whom the node waits for.
        deadline = time.monotonic() + 30
        while "node-1" not in (refused := node_2.sign(OTHER, slot=7, token=token)).text:
            self.assertEqual(refused.status, 503, refused.text)
            self.assertLess(time.monotonic(), deadline, refused.text)
        ready = node_2.get("/readyz", token=token)
        failing = [check for check in ready.json["checks"] if not check["ok"]]
        self.assertEqual([check["name"] for check in failing], ["failoverGuard"])
        self.assertIn("node-1", failing[0]["reason"])
        self.assertEqual(node_2.get("/api/v1/service", token=token).json["guard"]["waitsFor"], ["node-1"])
        found = e2e.run("doctor", "--json", "--ha-signing-enabled", "--database-url", both, "--node-id", "node-3", "--rollup", e2e.ROLLUP)
        (guard,) = [check for check in json.loads(found.stdout)["checks"] if check["check"] == "failover_guard"]
        self.assertEqual(guard["verdict"], "failure", guard)
        self.assertRegex(guard["found"], "asked for by .*node-[12].*not done by: node-1$")
        command = [e2e.PROGRAM, "service", "release-guard", "--listen", node_2.addresses[0], "--token-file", token_file]
        unasked = e2e.run(*command[1:])
        self.assertEqual((unasked.returncode, unasked.stdout), (e2e.USAGE, ""), unasked.stderr)
        for word in ("node node-2 signs nothing until all nodes", "it waits for node-1", "with other data", "watermark set", "Repeat with --yes"):
            self.assertIn(word, unasked.stderr)
        with e2e.Terminal(command) as asked:
            self.assertIn("it waits for node-1", asked.read_until("[y/N]"))
            asked.write("n\n")
            self.assertEqual(asked.wait(), e2e.FAILURE)
        self.assertTrue(node_2.get("/api/v1/service", token=token).json["guard"]["holds"])
        self.assertEqual(node_2.sign(OTHER, slot=7, token=token).status, 503)
        self.assertNotIn("guard_released", node_2.log())
        done = e2e.run(*command[1:], "--yes", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(json.loads(done.stdout)["guard"]["holds"])
        self.assertEqual(node_2.wait_for("guard_released")["by"], "client olga")
        self.assertEqual(node_2.sign(OTHER, slot=7, token=token).status, 200)
        self.assertEqual(node_2.get("/readyz").status, 200)
        # Where nothing is waited for there is nothing to ask.
        again = e2e.run(*command[1:], "--json")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("nothing was changed", again.stderr)
        self.assertFalse(json.loads(again.stdout)["guard"]["holds"])


if __name__ == "__main__":
    e2e.main()
