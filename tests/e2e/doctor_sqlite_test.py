#!/usr/bin/env python3
"""`doctor` on a node that protects itself by a SQLite file: each check fails for the right reason, and passes where all is well."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
import unittest
from pathlib import Path

import e2e_support as e2e
from doctor_support import DoctorCase
from e2e_support import USAGE
from service_support import Service


class SqliteTests(DoctorCase):
    def setUp(self):
        super().setUp()
        self.data = self.folder.path / "data"
        self.data.mkdir(mode=0o700)
        self.file = self.data / "signing-protection.db"
        self.variables |= {"DATA_DIRECTORY": str(self.data), "VALIDATOR_HA_NODE_ID": None}

    def sign(self, folder=None, node="local"):
        """Signs once, so that the file is there and holds a duty of the node."""
        done = e2e.run("sign", "--database-url", f"sqlite:{folder or self.data}/signing-protection.db", "--node-id", node, "--rollup", e2e.ROLLUP,
                       "--key-env", "SIGNS", "--duty-type", "ATTESTATION", "--slot", "5", "--message-hash", e2e.HASH,
                       env=e2e.clean_environment(SIGNS=e2e.KEY))
        self.assertEqual(done.returncode, 0, done.stderr)

    def contents(self):
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in self.data.iterdir()}

    def test_a_sound_deployment_has_no_failure_and_is_left_as_it_is(self):
        self.sign()
        before = self.contents()
        findings = self.doctor()
        self.assertEqual(self.contents(), before)
        for check, found in {"settings": "serve accepts", "journal": "data/journal/released.db' is on .*, as the database is.*; serve makes it$", "audit_log": "^no audit log is set$", "file_system": "data/signing-protection.db' is on ", "space": "MiB are free",
                             "file": "is there, and closed to the writes of others", "database": "version 2 of the tables, the newest",
                             "copy": "the one that its nodes have written", "node_id": "^local has been here, and does not run now$",
                             "nodes": "^no other node runs now$", "key_history": "every attester",
                             "key_holders": "no other node has signed with these keys here"}.items():
            self.is_well(findings, check, found)
        self.assertEqual(self.code, 0)

    def test_a_first_start(self):
        findings = self.doctor()
        self.finds(findings, "file", "warning", "is not there: serve makes it, and it remembers nothing yet", "ha-signer import")
        self.finds(findings, "copy", "skipped", "there is no file yet")
        self.assertEqual(list(self.data.iterdir()), [], "doctor makes nothing")
        self.data.rmdir()
        self.finds(self.doctor(), "file", "warning", "is not there", "ha-signer import")
        self.assertFalse(self.data.exists())
        self.finds(self.doctor(DATA_DIRECTORY=None), "store", "skipped", "the settings name no store")
        self.assertEqual(self.code, USAGE)
        self.finds(self.doctor(HA_SIGNER_JOURNAL="false"), "journal", "warning", "HA_SIGNER_JOURNAL.* switches it off", "leave HA_SIGNER_JOURNAL true")
        ephemeral = self.doctor(DATA_DIRECTORY=None, VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION="true")
        self.finds(ephemeral, "store", "warning", "in memory", "DATA_DIRECTORY")

    def test_a_first_start_that_cannot_make_the_file(self):
        self.data.chmod(0o1777)
        self.finds(self.doctor(), "file", "failure", "other users can write in .*mode 1777", "folder of its own")
        self.data.chmod(0o700)
        self.file.symlink_to("/nowhere/signing-protection.db")
        self.finds(self.doctor(), "file", "failure", "symbolic link to a file that is not there", "make it, or remove the link")
        self.file.unlink()
        self.assertEqual(list(self.data.iterdir()), [])

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_a_first_start_in_a_folder_of_another_user(self):
        self.folder.path.chmod(0o755)
        self.data.chmod(0o755)
        as_other = "exec setpriv --reuid=65534 --regid=65534 --clear-groups"
        self.finds(self.doctor(within=as_other), "file", "failure", "cannot make the database .*: Permission denied$",
                   f'^Give this user the right to write in "{self.data}"')
        self.assertEqual(self.code, USAGE)
        self.data.chmod(0o700)
        self.finds(self.doctor(within=as_other), "file", "failure", "cannot reach the database .*: Permission denied$", "^give this user the right")

    def test_a_file_system_in_memory(self):
        """Those of other machines are recognised in the same way, by numbers: store/sqlite/file_system_test.cpp."""
        if not Path("/dev/shm").is_dir():
            self.skipTest("there is no tmpfs")
        folder = tempfile.mkdtemp(dir="/dev/shm")
        self.addCleanup(shutil.rmtree, folder)
        findings = self.doctor(DATA_DIRECTORY=folder)
        self.finds(findings, "file_system", "failure", "is on tmpfs, which is in memory", "local disk")
        self.finds(findings, "journal", "warning", "is on tmpfs, which is in memory", "DATA_DIRECTORY")

    def test_a_journal_that_a_start_could_not_open(self):
        journal = self.data / "journal"
        journal.mkdir(mode=0o700)
        self.is_well(self.doctor(), "journal", "serve makes it$")
        (journal / "released.db").symlink_to("/nowhere/released.db")
        self.finds(self.doctor(), "journal", "failure", "cannot be opened, so serve does not start: .*symbolic link to a file that is not there", "remove the link")
        (journal / "released.db").unlink()
        journal.chmod(0o1777)
        self.finds(self.doctor(), "journal", "failure", "other users can write in .*journal.*mode 1777", "folder of its own")
        self.assertEqual(list(journal.iterdir()), [], "doctor makes nothing")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_a_journal_in_a_folder_of_another_user(self):
        self.folder.path.chmod(0o755)
        Path(self.keys).chmod(0o644)
        as_other = "exec setpriv --reuid=65534 --regid=65534 --clear-groups"
        self.data.chmod(0o755)
        self.finds(self.doctor(within=as_other), "journal", "failure", "the journal cannot be opened, so serve does not start: .*Permission denied", "^Give this user the right to write in")
        os.chown(self.data, 65534, 65534)
        self.is_well(self.doctor(within=as_other), "journal", "serve makes it$")

    def test_a_journal_that_another_node_uses(self):
        service = Service(self.folder.path)
        self.addCleanup(service.stop)
        (self.data / "journal").symlink_to(service.folder / "data/journal")
        findings = self.doctor()
        self.finds(findings, "journal", "warning", "another process uses the journal .*, so serve would not start beside it", "DATA_DIRECTORY of its own")
        other = Service(self.folder.path, "--data-directory", str(self.data), name="other", data=False, wait=False)
        self.addCleanup(other.stop)
        self.assertNotEqual(other.process.wait(timeout=60), 0)
        service.stop()
        self.is_well(self.doctor(), "journal", "is on ")

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a file system")
    def test_a_full_disk_of_the_journal(self):
        small = self.folder.path / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("file systems cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", small])
        (small / "data").mkdir(mode=0o700)
        self.finds(self.doctor(DATA_DIRECTORY=str(small / "data")), "journal", "failure", "MiB are free: where it cannot be written, nothing is signed", "free space")

    def test_an_audit_log(self):
        if not Path("/dev/shm").is_dir() or os.stat("/dev/shm").st_dev == self.data.stat().st_dev:
            self.skipTest("/dev/shm is missing, or on the same file system as the data")
        logs = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, logs)
        audit = logs / "audit.jsonl"
        self.variables["HA_SIGNER_AUDIT_LOG"] = str(audit)
        self.is_well(self.doctor(), "audit_log", f"^the audit log '{audit}' can be begun$")
        self.assertFalse(audit.exists(), "doctor makes nothing")
        service = Service(self.folder.path, "--audit-log", str(audit))
        self.addCleanup(service.stop)
        self.finds(self.doctor(), "audit_log", "warning", "another process writes the audit log", "HA_SIGNER_AUDIT_LOG")
        for slot in (6, 7):
            self.assertEqual(service.sign("0xaa", slot=slot).status, 200)
        service.stop()
        sound = audit.read_bytes()
        self.is_well(self.doctor(), "audit_log", "can be continued$")

        audit.write_bytes(sound.replace(b'"slot":"6"', b'"slot":"9"'))
        self.finds(self.doctor(), "audit_log", "warning", f"^line [0-9]+ of '{audit}' was changed: its hash", "^find out what has changed it")
        audit.write_bytes(sound.split(b"\n", 1)[0] + b"\n" + sound.split(b"\n", 2)[2])
        self.finds(self.doctor(), "audit_log", "warning", "lines are missing", "^find out what has changed it")
        audit.write_bytes(sound[:-5])
        self.finds(self.doctor(), "audit_log", "warning", "has no end.*the next start takes that line away", "none needed after a kill")
        audit.write_bytes(b"")
        self.finds(self.doctor(), "audit_log", "warning", "is empty: its lines were removed", "^find out")
        audit.write_bytes(b"another file\n")
        self.finds(self.doctor(), "audit_log", "warning", "a file of another kind", "HA_SIGNER_AUDIT_LOG")
        self.assertEqual(audit.read_bytes(), b"another file\n")
        audit.write_bytes(sound)
        audit.chmod(0o666)
        self.finds(self.doctor(), "audit_log", "warning", "can be written by other users", "chmod go-w")
        audit.chmod(0o600)
        logs.chmod(0o777)
        self.finds(self.doctor(), "audit_log", "warning", f"other users can write in '{logs}', so they can remove or replace", f"^chmod go-w '{logs}'")
        logs.chmod(0o1777)
        self.is_well(self.doctor(), "audit_log", "can be continued$")
        self.finds(self.doctor(HA_SIGNER_AUDIT_LOG=str(logs / "later/audit.jsonl")), "audit_log", "warning", "cannot be made: No such file", "HA_SIGNER_AUDIT_LOG")
        self.finds(self.doctor(HA_SIGNER_AUDIT_LOG=str(self.folder.path / "audit.jsonl")), "audit_log", "warning",
                   "is on the file system of the journal: when it has filled that, nothing is signed", "another file system")
        self.assertEqual(self.code, 0)

    def test_permissions(self):
        self.sign()
        self.file.chmod(0o666)
        self.finds(self.doctor(), "file", "warning", f"^other users can write '{self.file}'; the next start takes that right", f"^chmod go-w '{self.file}'")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o666, "doctor changes nothing")
        self.file.chmod(0o600)
        # A folder that is shared on purpose stays as it is.
        self.data.chmod(0o1777)
        self.finds(self.doctor(), "file", "failure", "other users can write in .*mode 1777", "folder of its own")
        self.assertEqual(self.code, USAGE)

    def test_files_that_are_not_ours(self):
        with sqlite3.connect(self.file) as other:
            other.execute("create table recipes (text text)")
        other.close()
        self.file.chmod(0o600)
        self.finds(self.doctor(), "database", "failure", "is the SQLite database of another program", "name another file")
        self.file.write_bytes(b"not a database at all" * 100)
        self.finds(self.doctor(), "database", "failure", "cannot be read", "watermark")
        self.file.write_bytes(b"")
        self.finds(self.doctor(), "database", "warning", "is empty", "watermark")

    def test_a_schema_that_others_have_changed(self):
        for statement, found in (("drop trigger ha_signer_raise_watermarks", "trigger ha_signer_raise_watermarks is missing"),
                                 ("drop table ha_signer_watermarks", "table ha_signer_watermarks is missing"),
                                 ("create trigger odd before insert on validator_duties begin select raise(ignore); end", "trigger odd is not ha-signer's"),
                                 ("create unique index odd on validator_duties (validator_address)", "index odd is not ha-signer's")):
            with self.subTest(statement):
                self.sign()
                with sqlite3.connect(self.file) as broken:
                    broken.execute(statement)
                broken.close()
                findings = self.doctor()
                self.finds(findings, "database", "failure", found, "^stop every node; ")
                self.finds(findings, "copy", "skipped", "the check database failed")
                shutil.rmtree(self.data)
                self.data.mkdir(mode=0o700)

    def test_a_log_that_is_gone(self):
        service = Service(self.folder.path)
        service.kill()
        data = service.folder / "data"
        for end in ("-wal", "-shm"):
            (data / f"signing-protection.db{end}").unlink()
        self.finds(self.doctor(DATA_DIRECTORY=str(data)), "database", "failure", "is empty, but .*-nodes' shows that nodes have used it", "put .*-wal' back")
        self.assertEqual(self.code, USAGE)

    def test_a_file_with_two_names(self):
        self.sign()
        os.link(self.file, self.folder.path / "other.db")
        self.finds(self.doctor(), "file", "failure", "has 2 names", "remove all names but this one")
        (self.folder.path / "other.db").unlink()
        self.is_well(self.doctor(), "file", "is there, and closed")

    @unittest.skipUnless(os.geteuid() == 0, "only root can give files to another user")
    def test_a_file_beside_it_that_belongs_to_another_user(self):
        self.sign()
        for path in (self.folder.path, self.data, *self.data.iterdir(), Path(self.keys)):
            os.chown(path, 65534, 65534)
        beside = Path(f"{self.file}-nodes")
        os.chown(beside, 0, 0)
        beside.chmod(0o600)
        as_other = "exec setpriv --reuid=65534 --regid=65534 --clear-groups"
        findings = self.doctor(within=as_other)
        self.finds(findings, "file", "failure", f"may not read and write '{beside}'", "^run as root: chown --reference=")
        subprocess.run(findings["file"]["mend"].removeprefix("run as root: "), shell=True, check=True)
        self.is_well(self.doctor(within=as_other), "file", "is there, and closed")

    def test_a_genesis_that_has_not_been(self):
        self.finds(self.doctor(HA_SIGNER_GENESIS_TIME="4000000000"), "slots", "failure", "HA_SIGNER_GENESIS_TIME is 4000000000, .* no slot has begun", "getGenesisTime")

    def test_a_newer_file(self):
        self.sign()
        with sqlite3.connect(self.file) as newer:
            newer.execute("pragma user_version = 99")
        newer.close()
        self.finds(self.doctor(), "database", "failure", "newer version", "newer ha-signer")

    def test_copies(self):
        source = self.folder.path / "other"
        source.mkdir(mode=0o700)
        self.sign(source)
        shutil.copy(source / "signing-protection.db", self.file)
        self.file.chmod(0o600)
        self.finds(self.doctor(), "copy", "failure", "signing-protection.db-nodes', which each of them keeps beside it, is not there", "watermark")
        # Opened once, it has that file too; then the time at which it was made tells.
        e2e.run("nodes", "--database-url", f"sqlite:{self.file}")
        with sqlite3.connect(self.file) as copy:
            copy.execute("update ha_signer_nodes set registered_at = '2020-01-01 00:00:00.000000'")
        copy.close()
        self.finds(self.doctor(), "copy", "warning", "the node local has used it since 2020-01-01 .* before this file was made", "watermark")

    def test_the_file_of_another_node(self):
        self.sign(node="node-7")
        findings = self.doctor()
        self.finds(findings, "copy", "warning", "used by node-7, never by local", "VALIDATOR_HA_NODE_ID")
        self.finds(findings, "key_holders", "warning", "node-7 with 1 key", "share a database")
        self.is_well(self.doctor(VALIDATOR_HA_NODE_ID="node-7"), "copy", "its nodes have written")

    def test_beside_the_running_service(self):
        port = e2e.free_port()
        audit = self.folder.path / "audit.jsonl"
        service = Service(self.folder.path, "--audit-log", str(audit), listen=f"127.0.0.1:{port}")
        self.addCleanup(service.stop)
        variables = {"DATA_DIRECTORY": str(service.folder / "data"), "HA_SIGNER_LISTEN": f"127.0.0.1:{port}", "HA_SIGNER_AUDIT_LOG": str(audit)}
        findings = self.doctor(**variables)
        self.is_well(findings, "journal", "this node's service uses it$")
        self.finds(findings, "audit_log", "warning", "on the file system of the journal", "another file system")
        self.finds(findings, "node_id", "warning", "a process runs under the id local", "none needed if it is this node's own service")
        self.is_well(findings, "listeners", "another program listens there, which this node does that runs now")
        self.assertEqual(service.sign("0xaa", slot=6).status, 200)

    def test_a_shared_file(self):
        self.sign(node="node-1")
        url = f"sqlite:{self.file}"
        findings = self.doctor(VALIDATOR_HA_SIGNING_ENABLED="true", VALIDATOR_HA_DATABASE_URL=url, VALIDATOR_HA_NODE_ID="node-1", DATA_DIRECTORY=None)
        self.is_well(findings, "copy", "its nodes have written")
        other = e2e.Node(url, "node-2")
        self.addCleanup(other.stop)
        other.wait("ready")
        findings = self.doctor(VALIDATOR_HA_SIGNING_ENABLED="true", VALIDATOR_HA_DATABASE_URL=url, VALIDATOR_HA_NODE_ID="node-1", DATA_DIRECTORY=None)
        self.is_well(findings, "nodes", "^other nodes that run now: node-2$")


if __name__ == "__main__":
    e2e.main()
