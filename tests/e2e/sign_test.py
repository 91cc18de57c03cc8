#!/usr/bin/env python3
"""`sign` and `check` as a person uses them in a shell, on both stores."""

import json
import unittest

import e2e_support as e2e
from e2e_support import ALREADY_SIGNED, HASH, OTHER_HASH, SIGNED, SLASHING, UNAVAILABLE, USAGE, WATERMARK

# The signature of HASH by KEY, made with viem 2.57.20; signatures are deterministic (RFC 6979).
SIGNATURE = ("0xe7c93726a865578504442b1a6827f676e0ed74bdff2be3960d1e253bbcfc4462"
             "6aa772b878bc912bdbb33a0014ec507c4b3896ea85aa914b74dee9b7ac3e56da1c")


class SignTests(e2e.DatabaseCase):
    def test_signs_once_and_says_who_did_when_asked_again(self):
        first = self.sign()
        self.assertEqual((first.returncode, first.stdout), (SIGNED, SIGNATURE + "\n"), first.stderr)
        self.assertEqual(first.stderr, "")
        again = self.sign(node="node-2")
        self.assertEqual((again.returncode, again.stdout), (ALREADY_SIGNED, ""))
        self.assertIn("already signed by node node-1", again.stderr)
        self.assertIn(SIGNATURE, again.stderr)
        self.assertEqual(again.stderr.count("\n"), 1)

    def test_refuses_other_data_for_a_signed_duty(self):
        self.assertEqual(self.sign().returncode, SIGNED)
        for node in ("node-1", "node-2"):
            other = self.sign(node=node, message_hash=OTHER_HASH)
            self.assertEqual((other.returncode, other.stdout), (SLASHING, ""))
            self.assertIn("Existing: 0x11111111..., Attempted: 0x22222222...", other.stderr)
            self.assertEqual(other.stderr.count("\n"), 1)

    def test_gives_programs_one_object_whatever_the_outcome(self):
        signed = json.loads(self.sign("--json").stdout)
        self.assertEqual((signed["signature"], signed["exit_code"]), (SIGNATURE, SIGNED))
        already = json.loads(self.sign("--json", node="node-2").stdout)
        self.assertEqual((already["error"]["kind"], already["exit_code"]), ("duty_already_signed", ALREADY_SIGNED))
        self.assertEqual((already["error"]["signed_by"], already["error"]["signature"]), ("node-1", SIGNATURE))
        slashing = json.loads(self.sign("--json", message_hash=OTHER_HASH).stdout)
        self.assertEqual((slashing["error"]["kind"], slashing["exit_code"]), ("slashing_protection", SLASHING))
        self.assertEqual(slashing["error"]["existing_message_hash"], HASH)
        wrong = json.loads(self.sign("--json", slot="-1").stdout)
        self.assertEqual((wrong["error"]["kind"], wrong["exit_code"]), ("usage", USAGE))

    def test_tells_duties_apart_by_everything_that_names_them(self):
        for more in ({"duty_type": "GOVERNANCE_VOTE"}, {"duty_type": "SLASHING_VOTE"}, {"slot": 6}, {}):
            self.assertEqual(self.sign(message_hash=OTHER_HASH, **more).returncode, SIGNED, more)
        for index in ("0", "1"):
            proposal = self.sign("--block-index", index, "--block-number", "7", duty_type="BLOCK_PROPOSAL")
            self.assertEqual(proposal.returncode, SIGNED, proposal.stderr)
        again = self.sign("--block-index", "1", duty_type="BLOCK_PROPOSAL", message_hash=OTHER_HASH)
        self.assertEqual(again.returncode, SLASHING)

    def test_signs_unprotected_types_again_and_again(self):
        for duty_type in ("AUTH_REQUEST", "TXS"):
            for message_hash in (HASH, OTHER_HASH, HASH):
                signed = self.sign(duty_type=duty_type, message_hash=message_hash)
                self.assertEqual(signed.returncode, SIGNED, signed.stderr)

    def test_signs_one_message_for_each_of_many_processes_at_once(self):
        for slot in range(10, 16):
            hashes = [HASH, OTHER_HASH, HASH, OTHER_HASH]
            # Two of them have one node id: they wait for each other.
            nodes = ["node-1", "node-1", "node-2", "node-3"]
            racers = [e2e.start(*self.arguments(slot=slot, message_hash=h, node=n)) for h, n in zip(hashes, nodes)]
            results = [(racer, *racer.communicate(timeout=60)) for racer in racers]
            winners = [i for i, (racer, _, _) in enumerate(results) if racer.returncode == SIGNED]
            self.assertEqual(len(winners), 1, [r[2] for r in results])
            for i, (racer, _, error) in enumerate(results):
                same = hashes[i] == hashes[winners[0]]
                if i != winners[0]:
                    self.assertEqual(racer.returncode, ALREADY_SIGNED if same else SLASHING, error)

    def test_refuses_a_node_id_that_a_living_node_has(self):
        node = e2e.Node(self.database, "node-1")
        try:
            node.wait("ready")
            refused = self.sign(node="node-1")
            self.assertEqual(refused.returncode, USAGE, refused.stderr)
            self.assertIn("Node id node-1 is in use by another process", refused.stderr)
            self.assertEqual(self.sign(node="node-2").returncode, SIGNED)
        finally:
            node.stop()

    def test_obeys_the_watermarks(self):
        self.assertEqual(self.sign(slot=1).returncode, SIGNED)
        set_low = e2e.run("watermark", "set", "--database-url", self.database, "--rollup", e2e.ROLLUP, "--validator", e2e.ADDRESS,
                          "--duty-type", "ATTESTATION", "--low", "100", "--high", "200")
        self.assertEqual(set_low.returncode, 0, set_low.stderr)
        for slot, word in ((100, "low watermark 100"), (201, "high watermark 200")):
            for refused in (self.sign(slot=slot), self.check(slot=slot)):
                self.assertEqual(refused.returncode, WATERMARK, refused.stderr)
                self.assertIn(word, refused.stderr)
        self.assertEqual(self.sign(slot=101).returncode, SIGNED)

    def test_check_foresees_what_sign_does_and_writes_nothing(self):
        before = self.check()
        self.assertEqual(before.returncode, SIGNED, before.stderr)
        self.assertIn("would be signed", before.stdout)
        listed = e2e.run("duties", "list", "--json", "--database-url", self.database)
        if self.store == "sqlite":
            # The file does not exist, and check does not make it.
            self.assertEqual(listed.returncode, USAGE)
        self.assertEqual(self.sign().returncode, SIGNED)
        self.assertEqual(self.check().returncode, ALREADY_SIGNED)
        self.assertEqual(self.check(message_hash=OTHER_HASH).returncode, SLASHING)
        self.assertEqual(self.check(slot=6).returncode, SIGNED)
        self.assertEqual(self.sign(slot=6).returncode, SIGNED)
        answer = json.loads(self.check("--json", slot=7).stdout)
        self.assertEqual((answer["would_sign"], answer["exit_code"]), (True, SIGNED))

    def test_check_says_who_holds_a_duty_and_since_when(self):
        node = e2e.Node(self.database, "node-9")
        try:
            node.wait("ready")
            node.slot(0, signing_takes_ms=60_000)
            node.wait("holding", count=7)
            held = self.check(slot=1, message_hash=HASH)
            self.assertEqual(held.returncode, SLASHING, held.stderr)
            self.assertRegex(held.stderr, r"is being signed by node node-9 since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* UTC with other data")
            node.kill()
        finally:
            node.stop()


class SignOnSqlite(SignTests):
    __test__ = True
    store = "sqlite"


class SignOnPostgres(SignTests):
    __test__ = True
    store = "postgres"

    def test_remembers_across_a_restart_of_the_server_and_says_when_it_is_away(self):
        self.assertEqual(self.sign().returncode, SIGNED)
        e2e.postgres().stop()
        try:
            away = self.sign("--attempt-timeout-ms", "1500")
            self.assertEqual((away.returncode, away.stdout), (UNAVAILABLE, ""), away.stderr)
            self.assertEqual(away.stderr.count("\n"), 1)
        finally:
            e2e.postgres().start()
        self.assertEqual(self.sign().returncode, ALREADY_SIGNED)
        self.assertEqual(self.sign(message_hash=OTHER_HASH).returncode, SLASHING)
        self.assertEqual(self.sign(slot=6).returncode, SIGNED)

    def test_waits_for_a_server_that_is_just_starting(self):
        e2e.postgres().stop()
        waiting = e2e.start(*self.arguments())
        e2e.postgres().start()
        out, err = waiting.communicate(timeout=60)
        self.assertEqual((waiting.returncode, out), (SIGNED, SIGNATURE + "\n"), err)

    def test_names_the_command_when_the_tables_are_missing(self):
        e2e.postgres().sql("create database empty")
        missing = self.sign(database=e2e.postgres().url("empty"))
        self.assertEqual(missing.returncode, USAGE)
        self.assertIn("ha-signer migrate up", missing.stderr)


del SignTests

if __name__ == "__main__":
    e2e.main()
