#!/usr/bin/env python3
"""The audit log of a service: who asked for which duty, what an operator did, and that no line can be changed unseen."""

import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import ADDRESS
from service_support import Service, context_of, key_of, sign_request, typed_data

ELSEWHERE = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"  # A validator whose key the service does not have.


class AuditCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.file = self.folder.path / "audit.jsonl"

    def serve(self, *arguments, **options):
        service = Service(self.folder.path, "--audit-log", str(self.file), *arguments, **options)
        self.addCleanup(service.stop)
        return service

    def lines(self, *, count, file=None, timeout=10):
        """All lines once there are so many: they are written on a thread of their own."""
        give_up_at = time.monotonic() + timeout
        while True:
            text = (file or self.file).read_text()
            if text.count("\n") >= count or time.monotonic() > give_up_at:
                self.assertEqual(text.count("\n"), count, text)
                return [json.loads(line) for line in text.splitlines()]
            time.sleep(0.005)

    def verify(self, *arguments, code=0):
        done = e2e.run("audit", "verify", "--json", *map(str, arguments or (self.file,)))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def token(self, name, rights):
        made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
        return made["token"], made["line"] + "\n"


class Lines(AuditCase):
    def test_each_signature_and_each_refusal_has_who_asked_which_duty_and_which_hash(self):
        service = self.serve()
        signed = service.sign("0xaa", slot=7, headers={"X-Request-Id": "first"}).json
        self.assertEqual(service.sign("0xbb", slot=7).kind, "slashing_protection")
        self.assertEqual(service.sign("0xaa", slot=7).kind, "duty_already_signed")
        service.rpc("eth_signTypedData_v4", ADDRESS, typed_data("BlockProposal"), context_of(8, "BLOCK_PROPOSAL", 3))
        begin, first, other, again, proposal = self.lines(count=5)
        self.assertEqual((begin["event"], begin["node"], begin["sequence"]), ("begin", "local", 1))
        self.assertEqual({name: first[name] for name in ("event", "requestId", "client", "peer", "signer", "dutyType", "slot", "messageHash", "outcome")},
                         {"event": "sign", "requestId": "first", "client": "anonymous", "peer": "loopback", "signer": ADDRESS.lower(),
                          "dutyType": "ATTESTATION", "slot": "7", "messageHash": signed["messageHash"], "outcome": "signed"})
        self.assertEqual([line["outcome"] for line in (other, again, proposal)], ["slashing_protection", "duty_already_signed", "signed"])
        self.assertNotEqual(other["messageHash"], first["messageHash"])
        self.assertEqual((proposal["dutyType"], proposal["blockIndexWithinCheckpoint"]), ("BLOCK_PROPOSAL", "3"))
        many = service.post("/api/v1/sign", {"duties": [sign_request("0xaa", slot=slot) for slot in range(20, 50)]}).json["results"]
        self.assertEqual(sorted(line["messageHash"] for line in self.lines(count=35)[5:]), sorted(result["messageHash"] for result in many))
        self.assertEqual(self.verify()["lines"], 35)

    def test_the_steps_have_their_lines(self):
        service = self.serve()
        duty = {"validator": ELSEWHERE, "messageHash": e2e.HASH, "context": context_of(6)}
        held = duty | {"lockToken": service.post("/api/v1/duties/claim", duty).json["lockToken"]}
        signature = e2e.signature_of(e2e.HASH, key_of(2))
        self.assertEqual(service.post("/api/v1/duties/record", held | {"signature": signature}).status, 200)
        self.assertEqual(service.post("/api/v1/duties/claim", duty).kind, "duty_already_signed")
        service.post("/api/v1/duties/release", held)
        lines = self.lines(count=5)[1:]
        self.assertEqual([(line["event"], line["outcome"]) for line in lines],
                         [("claim", "done"), ("record", "done"), ("claim", "duty_already_signed"), ("release", "done")])
        self.assertEqual({line["messageHash"] for line in lines}, {e2e.HASH})

    def test_what_an_operator_does_has_its_line_and_no_secret_is_in_any(self):
        reader, reader_line = self.token("anna", "read,sign")
        operator, operator_line = self.token("olga", "operate")
        service = self.serve(clients=reader_line + operator_line)
        self.assertEqual(service.post("/reload", "", token=operator).status, 200)
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloaded", count=2)
        service.write_keys(["0x12"])
        self.assertEqual(service.post("/reload", "", token=operator).kind, "reload_failed")
        signature = service.sign("0xaa", token=reader).json["signature"]
        connection = service.connection()
        self.addCleanup(connection.close)
        connection.request("GET", f"/{reader}/api/v1/duties")
        self.assertEqual(connection.getresponse().status, 200)
        lines = self.lines(count=5)[1:]
        self.assertEqual([(line["event"], line.get("by"), line["outcome"]) for line in lines],
                         [("reload", "client olga", "reloaded"), ("reload", "a signal", "reloaded"), ("reload", "client olga", "reload_failed"),
                          ("sign", None, "signed")])
        self.assertEqual(lines[-1]["client"], "anna")
        text = self.file.read_text()
        for secret in (reader, operator, e2e.KEY, e2e.KEY[2:], signature):
            self.assertNotIn(secret, text)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)

    def test_without_the_setting_there_is_none(self):
        service = Service(self.folder.path)
        self.addCleanup(service.stop)
        self.assertNotIn("audit", service.get("/readyz").json)
        self.assertNotIn("ha_signer_audit", service.get("/metrics").text)


class Life(AuditCase):
    def test_a_killed_service_leaves_a_chain_that_the_next_one_goes_on_with(self):
        token, line = self.token("anna", "read,sign")
        service = self.serve(clients=line)
        service.sign("0xaa", token=token)
        self.lines(count=2)
        head = service.get("/readyz", token=token).json["audit"]["head"]
        self.assertNotIn("head", service.get("/readyz").json["audit"])
        service.kill()
        with self.file.open("a") as torn:
            torn.write('{"sequence":3,"time":"20')
        self.assertEqual(self.verify(code=1)["fault"], {"file": str(self.file), "line": 3,
                                                        "reason": "has no end: the file was cut, or its writer was killed"})
        self.serve(clients=line).stop()
        self.assertEqual([line["event"] for line in self.lines(count=4)], ["begin", "sign", "resume", "end"])
        self.assertEqual(self.verify(self.file, "--head", head)["lines"], 4)

    def test_no_thread_takes_the_signal_that_stops_the_service(self):
        """A thread that does not block SIGTERM ends the process at once, with what is in flight."""
        service = self.serve()
        for task in Path(f"/proc/{service.process.pid}/task").iterdir():
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            if int(task.name) != service.process.pid:
                self.assertTrue(int(status["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1, status["Name"])

    def test_a_file_of_another_kind_is_refused_and_left_as_it_is(self):
        for content in (b"a password without a newline", b"two\nlines\n", b"SQLite format 3\0" + bytes(300_000), b'{"sequence"?'):
            self.file.write_bytes(content)
            self.file.chmod(0o600)
            service = self.serve()
            self.assertEqual(service.sign("0xaa", slot=5).status in (200, 409), True)
            self.assertIn("HA_SIGNER_AUDIT_LOG", service.wait_for("audit_log_fails")["reason"])
            self.assertEqual(service.stop(), 0)
            self.assertEqual(self.file.read_bytes(), content)
            self.assertEqual([path.name for path in self.file.parent.glob(f"{self.file.name}.*")], [])

    def test_two_services_do_not_share_a_file(self):
        self.serve().sign("0xaa", slot=5)
        other = self.serve(name="other")
        self.assertIn("is used by another process", other.wait_for("audit_log_fails")["reason"])
        self.assertEqual(other.sign("0xaa", slot=6).status, 200)
        self.assertEqual(other.stop(), 0)
        self.assertEqual([line.get("slot") for line in self.lines(count=2)], [None, "5"])

    def test_a_file_that_cannot_be_opened_stops_no_signature_and_says_so_until_it_can(self):
        token, line = self.token("anna", "read,sign")
        self.file = self.folder.path / "later" / "audit.jsonl"
        service = self.serve(clients=line)
        self.assertEqual(service.sign("0xaa", slot=5, token=token).status, 200)
        self.assertIn("No such file or directory", service.wait_for("audit_log_fails")["reason"])
        ready = service.get("/readyz", token=token)
        self.assertEqual((ready.status, ready.json["audit"]["ok"]), (200, False))
        self.assertIn("cannot be opened", ready.json["audit"]["reason"])
        self.assertEqual(service.figure("ha_signer_audit_failing", token=token), 1)
        self.file.parent.mkdir()
        service.wait_for("audit_log_works")
        self.assertEqual([line["event"] for line in self.lines(count=2)], ["begin", "sign"])
        self.assertEqual((service.figure("ha_signer_audit_failing", token=token), service.figure("ha_signer_audit_lines_lost", token=token)), (0, 0))

    def test_a_disk_that_hangs_stops_neither_start_nor_signature_nor_end(self):
        # The kernel lets each other open() of the file wait while there is a lease. In memory it has leases everywhere.
        memory = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.addCleanup(memory.cleanup)
        self.file = Path(memory.name) / "audit.jsonl"
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        with self.file.open("w+") as held:
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            service = self.serve()
            self.assertEqual(service.sign("0xaa", slot=5).status, 200)
            self.assertIn("does not answer", service.wait_for("audit_log_fails")["reason"])
            self.assertEqual(service.stop(), 0)
            self.assertEqual(service.wait_for("audit_lines_lost")["count"], "2")
        self.assertEqual(self.file.read_text(), "")

    def test_a_reload_goes_on_in_a_new_file_after_a_rotation(self):
        service = self.serve()
        service.sign("0xaa", slot=5)
        self.lines(count=2)
        older = self.file.rename(self.folder.path / "audit.jsonl.1")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloaded")
        service.sign("0xaa", slot=6)
        self.assertEqual([line["event"] for line in self.lines(count=3)], ["continue", "reload", "sign"])
        self.assertEqual(len(self.lines(count=2, file=older)), 2)
        both = self.verify(older, self.file)
        self.assertEqual((both["lines"], both["follows"], both["fault"]), (5, None, None))
        self.assertTrue(self.verify()["follows"].startswith("2:"))
        self.assertEqual(self.verify(self.file, older, code=1)["fault"]["file"], str(older))

    def test_a_full_disk_stops_no_signature_and_loses_no_line(self):
        small = self.folder.path / "small"
        small.mkdir()
        mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(small)], check=False).returncode == 0
        if not mounted:
            self.skipTest("mounting needs root")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(small)], check=True)
        self.file = small / "audit.jsonl"
        service = self.serve()
        self.lines(count=1)
        filler = small / "filler"
        try:
            with filler.open("wb", buffering=0) as full:
                while True:
                    full.write(bytes(4096))
        except OSError:
            pass
        for slot in range(5, 45):
            self.assertEqual(service.sign("0xaa", slot=slot).status, 200)
        service.wait_for("audit_log_fails")
        ready = service.get("/readyz")
        self.assertEqual((ready.status, ready.json["audit"]), (200, {"ok": False, "linesLost": 0}))
        self.assertEqual(service.figure("ha_signer_audit_failing"), 1)
        filler.unlink()
        service.wait_for("audit_log_works")
        self.lines(count=41)
        self.assertEqual(self.verify()["fault"], None)
        self.assertEqual((service.figure("ha_signer_audit_failing"), service.figure("ha_signer_audit_lines_lost")), (0, 0))


class Command(AuditCase):
    def test_names_the_first_line_that_is_not_in_order(self):
        service = self.serve()
        for slot in range(5, 9):
            service.sign("0xaa", slot=slot)
        self.lines(count=5)
        service.stop()
        text = self.file.read_text()
        self.file.write_text(text.replace('"slot":"6"', '"slot":"9"'))
        found = self.verify(code=1)
        self.assertEqual((found["fault"]["line"], found["lines"]), (3, 2))
        done = e2e.run("audit", "verify", str(self.file))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"line 3 of '{self.file}' was changed: its hash is not that of its text", done.stderr)
        self.file.write_text(text)
        done = e2e.run("audit", "verify", str(self.file))
        self.assertIn("6 lines are in order", done.stdout)

    def test_a_file_that_is_not_there_or_not_a_log_is_a_fault(self):
        self.assertIn("cannot be read", self.verify(self.folder.path / "nothing", code=1)["fault"]["reason"])
        self.file.write_text("")
        self.assertIn("is empty", self.verify(code=1)["fault"]["reason"])
        self.file.write_text("{}\n")
        self.assertEqual(self.verify(code=1)["fault"]["reason"], "is not a line of an audit log")
        wrong = e2e.run("audit", "verify", str(self.file), "--head", "17")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("--head is '17'", wrong.stderr)


if __name__ == "__main__":
    e2e.main()
