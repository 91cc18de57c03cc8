#!/usr/bin/env python3
"""Slots that cannot have begun: refused on every way in before anything is written, and the way back for a validator that was silenced."""

import json
import sqlite3
import time

import attack_support
import e2e_support as e2e
from attack_support import RANDOM, AttackCase, attack_rounds
from service_support import Service, context_of, key_of, sign_request

OTHER_ADDRESS = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"  # of private key 2
HIGHEST = 2**63 - 1
ETHEREUM_BEGAN = 1_438_269_973


class AbsurdSlotTests(AttackCase):
    def restarted(self, service, *arguments):
        service.stop()
        again = Service(self.folder.path, *arguments)
        self.addCleanup(again.stop)
        return again

    def database(self, service):
        return "sqlite:" + str(service.folder / "data" / "signing-protection.db")

    def is_refused(self, answer, slot):
        self.assertEqual((answer.status, answer.kind), (400, "invalid_input"), answer.text)
        self.assertEqual(answer.json["field"], "slot")
        self.assertIn(f"slot is '{slot}', but must be at most", answer.json["detail"])

    def test_absurd_slots_are_refused_on_every_route_beside_honest_signing(self):
        service = self.serve()
        with self.honest_beside(service):
            for _ in attack_rounds():
                for slot in (HIGHEST, RANDOM.randrange(2**40, 2**63), int(time.time()) - ETHEREUM_BEGAN + 200_000):
                    self.is_refused(service.sign(slot=slot), slot)
                    refused = service.rpc("eth_sign", e2e.ADDRESS, "0xaa", context_of(slot))["error"]["data"]
                    self.assertEqual((refused["status"], refused["field"]), (400, "slot"))
                    claim = {"validator": OTHER_ADDRESS, "messageHash": e2e.HASH, "context": context_of(slot)}
                    self.is_refused(service.post("/api/v1/duties/claim", claim), slot)
                    held = claim | {"lockToken": "00" * 8 + "02" + "00" * 7, "signature": e2e.signature_of(e2e.HASH, key_of(2))}
                    self.is_refused(service.post("/api/v1/duties/record", held), slot)
        rows = service.get(f"/api/v1/duties?fromSlot={2**32}").json["duties"]
        self.assertEqual(rows, [])

    def test_the_bound_does_not_follow_what_a_client_signs(self):
        service = self.serve()
        self.assertEqual(service.sign(slot=1_000_000).status, 200, "the first slot of an empty table")
        service = self.restarted(service, "--slots-ahead", "50", "--slot-duration-s", "72")
        latest = 1_000_050
        self.assertEqual(service.sign(slot=latest).status, 200)
        for ahead in (1, 10, 50, 10_000):
            self.is_refused(service.sign(slot=latest + ahead), latest + ahead)
        # One restart gives one step.
        service = self.restarted(service, "--slots-ahead", "50", "--slot-duration-s", "72")
        self.assertEqual(service.sign(slot=latest + 50).status, 200)
        self.is_refused(service.sign(slot=latest + 51), latest + 51)

    def test_a_long_pause_passes_and_so_does_another_validator(self):
        service = self.serve()
        service.sign(slot=1_000)
        service.stop()
        with sqlite3.connect(service.folder / "data" / "signing-protection.db") as database:
            database.execute("update validator_duties set started_at = datetime('now', '-100 days') || '.000000', completed_at = null")
        again = Service(self.folder.path, "--slots-ahead", "50", "--slot-duration-s", "72", keys=(e2e.KEY, key_of(2)))
        self.addCleanup(again.stop)
        paused = 100 * 86_400 // 72
        self.assertEqual(again.sign(slot=1_000 + paused).status, 200)
        self.assertEqual(again.sign(slot=1_000 + paused, validator=OTHER_ADDRESS).status, 200)
        self.is_refused(again.sign(slot=1_000 + paused + 60), 1_000 + paused + 60)

    def test_with_genesis_and_duration_the_clock_decides(self):
        genesis = int(time.time()) - 72 * 500
        service = self.serve("--genesis-time", str(genesis), "--slot-duration-s", "72")
        self.assertEqual(service.sign(slot=500).status, 200)
        self.assertEqual(service.sign(slot=600).status, 200)
        self.is_refused(service.sign(slot=602), 602)
        service = self.restarted(service, "--genesis-time", str(genesis), "--slot-duration-s", "72")
        self.is_refused(service.sign(slot=602), 602)
        refused = e2e.run("serve", "--genesis-time", str(genesis), "--key-store-directory", str(service.key_file), "--l1-chain-id", "1", "--rollup",
                          e2e.ROLLUP, "--data-directory", str(self.folder.path / "data"))
        self.assertEqual(refused.returncode, e2e.USAGE)
        self.assertIn("--genesis-time needs the length of a slot", refused.stderr)

    def test_a_clock_that_is_behind_does_not_forbid_what_the_store_shows(self):
        service = self.serve("--slots-ahead", "100000")
        self.assertEqual(service.sign(slot=700).status, 200)
        service.stop()
        # The row was made when a right clock said slot 700. The machine's clock is 200 slots behind now.
        with sqlite3.connect(service.folder / "data" / "signing-protection.db") as database:
            database.execute("update validator_duties set started_at = datetime('now', '+14400 seconds') || '.000000', completed_at = null")
        genesis = int(time.time()) - 72 * 500
        service = Service(self.folder.path, "--genesis-time", str(genesis), "--slot-duration-s", "72")
        self.addCleanup(service.stop)
        self.assertEqual(service.sign(slot=795).status, 200)
        refused = service.sign(slot=900)
        self.is_refused(refused, 900)
        self.assertIn("cannot have begun unless this clock is wrong", refused.json["detail"])
        self.assertIn("slot 700, the highest that the rollup had in the store", refused.json["detail"])

    def test_the_operator_may_switch_it_off(self):
        service = self.serve("--slots-ahead", str(HIGHEST))
        self.assertEqual(service.sign(slot=HIGHEST).status, 200)

    def test_the_shell_and_imports_refuse_it_and_name_it(self):
        service = self.serve("--slots-ahead", str(HIGHEST))
        service.sign(slot=HIGHEST)
        service.sign(slot=7)
        service.stop()
        url = "sqlite:" + str(self.folder.path / "shell.db")
        for command, who in (("sign", ("--key-env", "SIGNS")), ("check", ("--address", e2e.ADDRESS))):
            ran = e2e.run(command, "--database-url", url, "--node-id", "shell", "--rollup", e2e.ROLLUP, *who, "--duty-type", "ATTESTATION", "--slot",
                          str(HIGHEST), "--message-hash", e2e.HASH, env=e2e.clean_environment(SIGNS=e2e.KEY))
            self.assertEqual(ran.returncode, e2e.USAGE, ran.stderr)
            self.assertIn(f"slot is '{HIGHEST}', but must be at most", ran.stderr)
        exported = e2e.run("export", "--slots-ahead", str(HIGHEST), "--database-url", self.database(service))
        self.assertEqual(exported.returncode, 0, exported.stderr)
        file = self.folder.file("history.json", exported.stdout)
        imported = e2e.run("import", file, "--database-url", url)
        self.assertEqual(imported.returncode, e2e.USAGE, imported.stderr)
        self.assertIn(f"implausible: the duty ATTESTATION of validator {e2e.ADDRESS.lower()}", imported.stderr)
        self.assertIn(f"slot is '{HIGHEST}'", imported.stderr)
        self.assertEqual(json.loads(e2e.run("duties", "list", "--json", "--database-url", url).stdout)["duties"], [])
        history = json.loads(exported.stdout)
        history["duties"] = []
        history["watermarks"] = [{"rollup_address": e2e.ROLLUP, "validator_address": e2e.ADDRESS.lower(), "duty_type": "ATTESTATION",
                                  "low_slot": str(HIGHEST), "high_slot": None, "updated_at": history["exported_at"]}]
        imported = e2e.run("import", self.folder.file("watermarks.json", json.dumps(history)), "--database-url", url)
        self.assertEqual(imported.returncode, e2e.USAGE, imported.stderr)
        self.assertIn("implausible: the watermark of ATTESTATION", imported.stderr)

    def test_a_silenced_validator_comes_back(self):
        service = self.serve("--slots-ahead", str(HIGHEST))
        self.assertEqual(service.sign(slot=HIGHEST).status, 200)
        self.assertEqual(service.sign("0xaa", slot=100).status, 200)
        service.stop()
        url = self.database(service)
        with sqlite3.connect(service.folder / "data" / "signing-protection.db") as database:
            database.execute("delete from validator_duties where slot = ?", (HIGHEST,))
        service = Service(self.folder.path)
        self.addCleanup(service.stop)
        silenced = service.sign(slot=101)
        self.assertEqual((silenced.status, silenced.kind), (412, "outside_watermark"))

        shown = e2e.run("watermark", "show", "--database-url", url)
        self.assertIn(f"low {HIGHEST} of ATTESTATION of validator {e2e.ADDRESS.lower()} is later than every slot that can have begun", shown.stderr)
        lower = ("watermark", "set", "--rollup", e2e.ROLLUP, "--validator", e2e.ADDRESS, "--duty-type", "ATTESTATION", "--low", "100", "--database-url", url)
        unasked = e2e.run(*lower)
        self.assertNotEqual(unasked.returncode, 0, "it needs consent")
        self.assertEqual(e2e.run(*lower, "--yes").returncode, 0)
        self.assertEqual(service.sign(slot=101).status, 200)
        self.assertEqual(service.sign("0xbb", slot=100).kind, "slashing_protection")
        self.assertEqual(service.sign("0xbb", slot=99).kind, "outside_watermark")


if __name__ == "__main__":
    attack_support.main()
