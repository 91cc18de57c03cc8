#!/usr/bin/env python3
"""The signing service as its clients use it, on both stores: routes, refusals, clients and rights, reload, the end."""

import http.client
import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import unittest

import e2e_support as e2e
from e2e_support import ADDRESS, HASH, KEY, OTHER_HASH, ROLLUP, SIGNED
from service_support import CHAIN_ID, Service, context_of, key_of, sign_request, typed_data

OTHER_ADDRESS = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"  # of private key 2, as every Ethereum library gives it


class ServiceCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.services = 0

    def serve(self, *arguments, **options):
        self.services += 1
        service = Service(self.folder.path, *arguments, name=f"service{self.services}", **options)
        self.addCleanup(service.stop)
        return service

    def refused(self, answer, status, kind):
        self.assertEqual((answer.status, answer.kind), (status, kind), answer.text)
        return answer.json


class RouteTests(ServiceCase):
    __test__ = False
    store = None

    def setUp(self):
        if self.store is None:
            self.skipTest("runs once for each store")
        super().setUp()
        self.database = e2e.postgres().new_database() if self.store == "postgres" else None

    def test_says_that_it_is_up_alive_and_ready(self):
        service = self.serve(database=self.database)
        self.assertEqual(service.get("/upcheck").text, "OK")
        self.assertEqual(service.get("/healthz").json, {"status": "alive"})
        ready = service.get("/readyz").json
        checks = ("store", *(("replication",) if self.database else ("journal",)), "keySwitches", "nodeId", "accepting")
        self.assertEqual([(check["name"], check["ok"]) for check in ready["checks"]], [(name, True) for name in checks])
        self.assertTrue(ready["ready"])
        self.assertEqual(service.request("HEAD", "/readyz").text, "")
        self.assertEqual(service.get("/openapi.json").json["openapi"], "3.1.0")

    def test_signs_a_duty_once_and_refuses_other_data_for_it(self):
        service = self.serve(database=self.database)
        signed = service.sign("0xaa").json
        self.assertEqual(signed["validator"], ADDRESS.lower())
        again = self.refused(service.sign("0xaa"), 409, "duty_already_signed")
        self.assertEqual((again["signature"], again["duty"]["slot"]), (signed["signature"], "5"))
        other = self.refused(service.sign("0xbb"), 412, "slashing_protection")
        self.assertEqual(other["existingMessageHash"], signed["messageHash"])
        self.assertNotEqual(other["attemptedMessageHash"], signed["messageHash"])
        self.assertEqual(service.sign("0xbb", slot=6).status, 200)
        self.assertEqual(service.sign("0xbb", duty_type="BLOCK_PROPOSAL", index=0).status, 200)
        self.assertEqual(service.sign("0xcc", duty_type="BLOCK_PROPOSAL", index=1).status, 200)
        self.refused(service.sign("0xcc", duty_type="BLOCK_PROPOSAL", index=0), 412, "slashing_protection")

    def test_one_duty_gets_one_message_on_all_routes(self):
        service = self.serve(database=self.database)
        signed = service.rpc("eth_sign", ADDRESS, "0xaa", context_of(9))["result"]
        self.refused(service.sign("0xbb", slot=9), 412, "slashing_protection")
        for method, *params in (("eth_sign", ADDRESS, "0xbb"), ("personal_sign", "0xbb", ADDRESS), ("eth_signTypedData", ADDRESS, typed_data()),
                                ("eth_signTypedData_v4", ADDRESS, json.dumps(typed_data()))):
            refused = service.rpc(method, *params, context_of("9"))["error"]
            self.assertEqual(refused["data"]["type"], "urn:ha-signer:problem:slashing_protection")
            self.assertEqual(refused["code"], -32011)
        batch = [{"jsonrpc": "2.0", "id": i, "method": "eth_sign", "params": [ADDRESS, f"0x{i:02x}", context_of(9)]} for i in range(20)]
        self.assertEqual([answer["id"] for answer in service.post("/", batch).json if "result" in answer], [])
        many = service.post("/api/v1/sign", {"duties": [sign_request("0xcc", slot=9), sign_request("0xdd", slot=9)]}).json["results"]
        self.assertEqual([result["problem"]["status"] for result in many], [412, 412])
        rows = service.get("/api/v1/duties?slot=9").json["duties"]
        self.assertEqual([row["signature"] for row in rows], [signed])

    def test_one_of_many_messages_for_one_duty_in_one_request_is_signed(self):
        service = self.serve(database=self.database)
        results = service.post("/api/v1/sign", {"duties": [sign_request(f"0x{i:02x}", slot=11) for i in range(50)]}).json["results"]
        self.assertEqual(sum("signature" in result for result in results), 1)
        batch = [{"jsonrpc": "2.0", "id": i, "method": "eth_sign", "params": [ADDRESS, f"0x{i:02x}", context_of(12)]} for i in range(50)]
        answers = service.post("/", batch).json
        self.assertEqual([answer["id"] for answer in answers], list(range(50)))
        self.assertEqual(sum("result" in answer for answer in answers), 1)

    def test_speaks_the_json_rpc_of_web3signer(self):
        service = self.serve(database=self.database, keys=(e2e.KEY, key_of(2)))
        self.assertEqual(service.rpc("eth_accounts")["result"], [ADDRESS.lower(), OTHER_ADDRESS])
        self.assertEqual(service.rpc("eth_chainId")["result"], hex(CHAIN_ID))
        object_signature = service.rpc("eth_signTypedData", ADDRESS, typed_data(), context_of(1))["result"]
        # The same data as text is the same message.
        again = service.rpc("eth_signTypedData_v4", ADDRESS, json.dumps(typed_data()), context_of(1))["error"]["data"]
        self.assertEqual((again["type"].rsplit(":", 1)[1], again["signature"]), ("duty_already_signed", object_signature))
        batch = [{"jsonrpc": "2.0", "id": "a", "method": "eth_accounts"}, {"jsonrpc": "2.0", "id": 2, "method": "nonsense"}, 5,
                 {"jsonrpc": "2.0", "method": "eth_accounts"}, {"jsonrpc": "1.0", "id": 4, "method": "eth_accounts"}]
        answers = service.post("/", batch).json
        self.assertEqual([answer["id"] for answer in answers], ["a", 2, None, None, 4])
        self.assertEqual([answer.get("error", {}).get("code") for answer in answers], [None, -32601, -32600, -32600, -32600])

    def test_refuses_what_has_no_context_and_says_what_is_missing(self):
        service = self.serve(database=self.database)
        for method, *params in (("eth_sign", ADDRESS, "0xaa"), ("personal_sign", "0xaa", ADDRESS), ("eth_signTypedData", ADDRESS, typed_data()),
                                ("eth_signTypedData_v4", ADDRESS, typed_data(), None)):
            refused = service.rpc(method, *params)["error"]
            self.assertIn("the signing context is missing", refused["message"])
            self.assertIn("dutyType", refused["message"])
        self.refused(service.post("/api/v1/sign", {"validator": ADDRESS, "message": "0xaa"}), 400, "context_missing")
        for context, word in (({}, "dutyType"), ({"dutyType": "ATTESTATION"}, "slot"), (context_of(-1), "slot"), (context_of(5, "DUTY"), "dutyType"),
                              ({**context_of(5), "slott": 1}, "slott"), (context_of(5, "BLOCK_PROPOSAL"), "blockIndexWithinCheckpoint"),
                              (context_of(5, "ATTESTATION", 3), "blockIndexWithinCheckpoint"), (context_of(2**63), "slot"), (context_of("5.0"), "slot"),
                              (context_of(True), "slot"), ([], "context"), ("ATTESTATION", "context")):
            refused = service.rpc("eth_sign", ADDRESS, "0xaa", context)["error"]
            self.assertEqual(refused["data"]["status"], 400, refused)
            self.assertIn(word, refused["message"])
        self.assertEqual(service.get("/api/v1/duties").json["duties"], [])

    def test_an_aztec_payload_must_agree_with_context_chain_and_rollup(self):
        service = self.serve(database=self.database)
        kinds = {"BlockProposal": "BLOCK_PROPOSAL", "CheckpointProposal": "CHECKPOINT_PROPOSAL", "CheckpointAttestation": "ATTESTATION",
                 "AttestationsAndSigners": "ATTESTATIONS_AND_SIGNERS", "SignedTxs": "TXS"}
        for slot, primary_type in enumerate(kinds):
            for duty_type in (*kinds.values(), "GOVERNANCE_VOTE", "SLASHING_VOTE", "AUTH_REQUEST"):
                index = 0 if duty_type == "BLOCK_PROPOSAL" else None
                answer = service.rpc("eth_signTypedData", ADDRESS, typed_data(primary_type), context_of(slot, duty_type, index))
                if kinds[primary_type] == duty_type:
                    self.assertIn("result", answer)
                else:
                    self.assertIn("Aztec payload", answer["error"]["message"])
        other = "0x" + "99" * 20
        for wrong, word in (({"chain_id": 1}, "chainId"), ({"rollup": other}, "rollup"), ({"version": "2"}, "version"), ({"name": "Aztec rollup"}, "called"),
                            ({"primary_type": "Surprise"}, "primary type")):
            refused = service.rpc("eth_signTypedData", ADDRESS, typed_data(**wrong), context_of(100))["error"]
            self.assertEqual(refused["data"]["status"], 400)
            self.assertIn(word, refused["message"])
        self.assertEqual(service.get("/api/v1/duties?slot=100").json["duties"], [])
        # Typed data that is not of a rollup is signed under any context.
        self.assertIn("result", service.rpc("eth_signTypedData", ADDRESS, typed_data("Vote", name="Governance", rollup=other), context_of(7, "GOVERNANCE_VOTE")))

    def test_takes_the_three_steps_for_keys_that_are_elsewhere(self):
        service = self.serve(database=self.database)
        duty = {"validator": OTHER_ADDRESS, "messageHash": HASH, "context": context_of(20)}
        claimed = service.post("/api/v1/duties/claim", duty).json
        held = duty | {"lockToken": claimed["lockToken"]}
        signature = e2e.signature_of(HASH, key_of(2))
        self.refused(service.post("/api/v1/duties/record", held | {"lockToken": "0" * 32, "signature": signature}), 400, "invalid_input")
        wrong = claimed["lockToken"][:-1] + ("0" if claimed["lockToken"][-1] != "0" else "1")
        self.refused(service.post("/api/v1/duties/record", held | {"lockToken": wrong, "signature": signature}), 409, "signing_lock_lost")
        other = e2e.signature_of(OTHER_HASH, key_of(2))
        self.refused(service.post("/api/v1/duties/record", held | {"messageHash": OTHER_HASH, "signature": other}), 409, "signing_lock_lost")
        for planted in (other, e2e.signature_of(HASH), "0x" + "5b" * 65):
            refused = self.refused(service.post("/api/v1/duties/record", held | {"signature": planted}), 400, "invalid_input")
            self.assertEqual(refused["field"], "signature")
        self.assertEqual([row["status"] for row in service.get("/api/v1/duties?slot=20").json["duties"]], ["signing"])
        self.assertEqual(service.post("/api/v1/duties/record", held | {"signature": signature}).json, {"recorded": True})
        self.assertEqual(service.post("/api/v1/duties/record", held | {"signature": signature}).json, {"recorded": True})
        self.assertEqual(self.refused(service.post("/api/v1/duties/claim", duty), 409, "duty_already_signed")["signature"], signature)
        self.refused(service.post("/api/v1/duties/claim", duty | {"messageHash": OTHER_HASH}), 412, "slashing_protection")
        self.assertEqual(service.post("/api/v1/duties/release", held).json, {"released": False})
        many = [duty | {"context": context_of(slot)} for slot in range(30, 33)]
        results = service.post("/api/v1/duties/claim", {"duties": many}).json["results"]
        held = [one | {"lockToken": result["lockToken"]} for one, result in zip(many, results)]
        released = service.post("/api/v1/duties/release", {"duties": held[:2]}).json["results"]
        self.assertEqual(released, [{"released": True}] * 2)
        again = service.post("/api/v1/duties/claim", many[0] | {"messageHash": OTHER_HASH})
        self.assertEqual(again.status, 200)
        self.refused(service.post("/api/v1/duties/record", held[0] | {"signature": signature}), 409, "signing_lock_lost")

    def test_open_claims_that_end_at_another_service_make_room_again(self):
        database = self.database or f"sqlite:{self.folder.path / 'shared.db'}"
        here = self.serve("--max-open-claims", "2", database=database)
        there = self.serve(database=database, node="node-2")
        held = []

        def claim(slot):
            duty = {"validator": OTHER_ADDRESS, "messageHash": HASH, "context": context_of(slot)}
            answer = here.post("/api/v1/duties/claim", duty)
            if answer.status == 200:
                held.append(duty | {"lockToken": answer.json["lockToken"]})
            return answer

        def claim_once_there_is_room(slot):
            # The store is asked at most once a second.
            give_up_at = time.monotonic() + 10
            while (answer := claim(slot)).status == 429 and time.monotonic() < give_up_at:
                time.sleep(0.05)
            self.assertEqual(answer.status, 200, answer.text)

        for slot in (900, 901):
            self.assertEqual(claim(slot).status, 200)
        self.refused(claim(902), 429, "too_many_open_claims")
        # What leaves the row as it is makes no room: a record of another message, a release of another slot.
        self.refused(here.post("/api/v1/duties/record", held[0] | {"messageHash": OTHER_HASH, "signature": e2e.signature_of(OTHER_HASH, key_of(2))}), 409, "signing_lock_lost")
        self.assertEqual(here.post("/api/v1/duties/release", held[0] | {"context": context_of(999)}).json, {"released": False})
        self.refused(claim(902), 429, "too_many_open_claims")
        signature = e2e.signature_of(HASH, key_of(2))
        self.assertEqual(there.post("/api/v1/duties/record", held[0] | {"signature": signature}).json, {"recorded": True})
        claim_once_there_is_room(902)
        self.assertEqual(there.post("/api/v1/duties/release", held[1]).json, {"released": True})
        claim_once_there_is_room(903)
        self.refused(claim(904), 429, "too_many_open_claims")

    def test_shows_duties_nodes_and_watermarks(self):
        service = self.serve(database=self.database)
        for slot in range(1, 6):
            service.sign(slot=slot)
        service.sign("0xcc", slot=3, duty_type="GOVERNANCE_VOTE")
        self.assertEqual([duty["slot"] for duty in service.get("/api/v1/duties?dutyType=ATTESTATION").json["duties"]], ["5", "4", "3", "2", "1"])
        self.assertEqual(len(service.get(f"/api/v1/duties?slot=3&validator={ADDRESS}&rollup={ROLLUP}&status=signed").json["duties"]), 2)
        self.assertEqual(len(service.get("/api/v1/duties?fromSlot=2&toSlot=4&limit=2").json["duties"]), 2)
        self.assertNotIn("lockToken", service.get("/api/v1/duties").text)
        for query in ("slot=-1", "slot=1&slot=2", "nonsense=1", "limit=0", "limit=1001", "status=x", "dutyType=x", "validator=0x12", "nodeId=%zz", "slot=1%00"):
            self.refused(service.get(f"/api/v1/duties?{query}"), 400, "invalid_input")
        node = service.get("/api/v1/nodes").json["nodes"][0]
        self.assertEqual((node["nodeId"], node["alive"]), ("node-1" if self.database else "local", True))
        database = self.database or f"sqlite:{service.folder}/data/signing-protection.db"
        moved = e2e.run("watermark", "set", "--database-url", database, "--rollup", ROLLUP, "--validator", ADDRESS, "--duty-type", "ATTESTATION",
                        "--low", "100", "--high", "200")
        self.assertEqual(moved.returncode, 0, moved.stderr)
        marks = service.get("/api/v1/watermarks").json["watermarks"]
        self.assertEqual([(mark["low"], mark["high"]) for mark in marks], [("100", "200")])
        low = self.refused(service.sign(slot=100), 412, "outside_watermark")
        self.assertEqual((low["watermark"], low["watermarkBound"]), ("100", "low"))
        high = self.refused(service.sign(slot=201), 412, "outside_watermark")
        self.assertEqual((high["watermark"], high["watermarkBound"]), ("200", "high"))

    def test_shows_figures_by_the_published_names_and_ours(self):
        service = self.serve(database=self.database)
        service.sign("0xaa")
        service.sign("0xaa")
        service.sign("0xbb")
        text = service.get("/metrics").text
        for line in text.splitlines():
            self.assertRegex(line, r"^# (HELP|TYPE) \w+ .+$|^\w+(\{(\w+=\"[^\"]*\",?)*\})? [-+0-9.e]+$|^\w+\{.*\} \+?Inf$")
        for name in ("signing_duration_count", "signing_success_count", "duty_already_signed_count", "slashing_protection_count", "signing_error_count",
                     "lock_acquired_count", "cleanup_stuck_duties_count", "cleanup_old_duties_count", "cleanup_outdated_rollup_duties_count"):
            self.assertIn(f"\naztec_ha_signer_{name}{{", text)
        node = "node-1" if self.database else "local"
        labels = {"aztec_ha_signer_duty_type": "ATTESTATION", "aztec_ha_signer_node_id": node}
        for name in ("signing_success_count", "duty_already_signed_count", "slashing_protection_count", "signing_duration_count"):
            self.assertEqual(service.figure(f"aztec_ha_signer_{name}", **labels), 1, name)
        # A local key signs first, so it signs for the duties that are refused, too.
        for step, count in (("claim", 3), ("sign", 3), ("record", 3)):
            self.assertEqual(service.figure("ha_signer_step_duration_count", step=step), count, step)
        for name in ("queue_length", "in_doubt_count", "taken_over_count", "store_error_count", "outside_watermark_count", "build_info", "http_connections"):
            self.assertRegex(text, rf"\nha_signer_{name}[{{ ]")
        if self.database:
            self.assertGreaterEqual(service.figure("ha_signer_store_connections"), 1)

    def test_tells_of_duties_as_they_are_signed(self):
        service = self.serve(database=self.database)
        service.sign(slot=1)
        connection = service.connection()
        self.addCleanup(connection.close)
        connection.request("GET", "/api/v1/events")
        stream = connection.getresponse()
        self.assertEqual((stream.status, stream.headers["content-type"]), (200, "text/event-stream"))
        self.until(stream, "event: watching")
        service.sign("0xdd", slot=2)
        told = json.loads(self.until(stream, "data: ", after="event: duty").removeprefix("data: "))
        self.assertEqual((told["change"], told["duty"]["slot"]), ("signed", "2"))
        self.assertNotIn("lockToken", json.dumps(told))

    def until(self, stream, start, after=None):
        for line in stream:
            line = line.decode().rstrip("\n")
            if after is not None:
                after = None if line == after else after
            elif line.startswith(start):
                return line
        self.fail(f"the stream ended without {start}")


class RoutesOnSqlite(RouteTests):
    __test__ = True
    store = "sqlite"

    def test_remembers_across_restarts(self):
        service = self.serve()
        signed = service.sign("0xaa").json["signature"]
        self.assertEqual(service.stop(), 0)
        again = Service(self.folder.path, name="service1")
        self.addCleanup(again.stop)
        self.assertEqual(self.refused(again.sign("0xaa"), 409, "duty_already_signed")["signature"], signed)
        self.refused(again.sign("0xbb"), 412, "slashing_protection")

    def test_returns_what_another_attempt_recorded_where_that_is_asked_for(self):
        service = self.serve("--return-recorded", "ATTESTATION,GOVERNANCE_VOTE")
        signed = service.sign("0xaa").json
        self.assertNotIn("recorded", signed)
        self.assertEqual(service.sign("0xaa").json, signed | {"recorded": True})
        self.refused(service.sign("0xbb"), 412, "slashing_protection")
        self.assertEqual(service.figure("ha_signer_recorded_returned_count"), 1)
        self.assertEqual(service.figure("aztec_ha_signer_duty_already_signed_count"), 0)
        service.sign("0xaa", duty_type="CHECKPOINT_PROPOSAL")
        self.refused(service.sign("0xaa", duty_type="CHECKPOINT_PROPOSAL"), 409, "duty_already_signed")

    def test_hands_out_no_recorded_signature_that_is_not_the_validators(self):
        for arguments in ((), ("--return-recorded", "ATTESTATION")):
            service = self.serve(*arguments)
            for slot in (5, 6):
                service.sign("0xaa", slot=slot)
            service.stop()
            with sqlite3.connect(service.folder / "data" / "signing-protection.db") as database:
                for slot, planted in ((5, "0x" + "11" * 65), (6, "not a signature")):
                    database.execute("update validator_duties set signature = ? where slot = ?", (planted, slot))
            again = Service(self.folder.path, *arguments, name=f"service{self.services}")
            self.addCleanup(again.stop)
            for slot in (5, 6):
                refused = self.refused(again.sign("0xaa", slot=slot), 409, "duty_already_signed")
                self.assertNotIn("signature", refused)
                self.assertTrue(refused["signatureUnusable"])
                self.assertIn(f"holds no signature of validator {ADDRESS.lower()}", refused["detail"])
                self.refused(again.sign("0xbb", slot=slot), 412, "slashing_protection")
            data = again.rpc("eth_sign", ADDRESS, "0xaa", context_of(5))["error"]["data"]
            self.assertEqual(("signature" in data, data["signatureUnusable"]), (False, True))

    def test_says_when_its_memory_is_new(self):
        first = self.serve()
        self.assertIn("watermark", first.wait_for("remembers_nothing_yet")["meaning"])
        first.stop()
        again = Service(self.folder.path, name="service1")
        self.addCleanup(again.stop)
        again.sign("0xaa")
        again.wait_for("request")
        self.assertNotIn("remembers_nothing_yet", again.log())

    def test_refuses_an_authority_for_remote_signers_that_is_not_there(self):
        for file in (self.folder.path / "nothing", self.folder.path):
            started = e2e.run("serve", "--key-store-directory", str(self.folder.path), "--l1-chain-id", "1", "--rollup", ROLLUP, "--data-directory",
                              str(self.folder.path / "data"), "--remote-ca-file", str(file))
            self.assertEqual(started.returncode, e2e.USAGE, started.stderr)
            self.assertIn(f"--remote-ca-file is '{file}', but must be a PEM file", started.stderr)

    def test_is_never_unprotected_by_accident(self):
        def refuses(*arguments, **variables):
            started = e2e.run("serve", "--key-store-directory", str(self.folder.path), "--l1-chain-id", "1", "--rollup", ROLLUP, *arguments,
                              env=e2e.clean_environment(**variables))
            self.assertEqual(started.returncode, e2e.USAGE, started.stderr)
            return started.stderr

        self.assertIn("DATA_DIRECTORY", refuses())
        self.assertIn("VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION", refuses())
        self.assertIn("VALIDATOR_HA_SIGNING_ENABLED is not", refuses("--data-directory", str(self.folder.path), VALIDATOR_HA_DATABASE_URL="postgresql://db/ha"))
        self.assertIn("--node-id is missing", refuses("--ha-signing-enabled", "--database-url", f"sqlite:{self.folder.path}/x.db"))
        self.assertIn("--database-url is missing", refuses("--ha-signing-enabled", "--node-id", "n"))
        ephemeral = self.serve(environment={"VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION": "true"}, data=False)
        self.assertEqual(ephemeral.wait_for("listening")["store"], "memory:")
        ephemeral.sign("0xaa")
        self.refused(ephemeral.sign("0xbb"), 412, "slashing_protection")


class RoutesOnPostgres(RouteTests):
    __test__ = True
    store = "postgres"

    def test_says_why_it_is_not_ready_and_signs_again_when_the_store_is_back(self):
        service = self.serve("--attempt-timeout-ms", "2000", "--signer-call-timeout-ms", "1000", database=self.database)
        self.assertEqual(service.sign(slot=1).status, 200)
        e2e.postgres().stop()
        try:
            # In doubt if the record went out on a connection that had not ended yet.
            answer = service.sign(slot=2)
            self.refused(answer, 503, "in_doubt" if answer.kind == "in_doubt" else "unavailable")
            ready = service.get("/readyz")
            self.assertEqual(ready.status, 503)
            store = ready.json["checks"][0]
            self.assertFalse(store["ok"])
            self.assertTrue(store["reason"])
            self.assertEqual(service.get("/healthz").status, 200)
            self.assertEqual(service.get("/api/v1/duties").status, 503)
        finally:
            e2e.postgres().start()
        signed = self.eventually_signed(service, slot=2)
        if signed.status == 409 and answer.kind == "in_doubt":
            # What was in doubt has reached the server when it came back.
            self.assertIn("signature", signed.json)
        else:
            self.assertEqual(signed.status, 200, signed.text)
        self.refused(service.sign("0xff", slot=1), 412, "slashing_protection")
        self.assertEqual(service.get("/readyz").status, 200)

    def eventually_signed(self, service, slot):
        """The store is back; each attempt waits for it until its deadline."""
        for _ in range(20):
            answer = service.sign(slot=slot)
            if answer.status != 503:
                return answer
        return answer

    def test_says_that_storage_replicates_where_it_does(self):
        """A server that does not tell its timeline, as Amazon Aurora, is refused at once unless it is said that storage replicates."""
        server, (_, name) = e2e.postgres(), self.database.rsplit("/", 1)
        server.sql("""create schema managed; create function managed.pg_current_wal_lsn() returns pg_lsn language plpgsql as $$ begin
                      raise exception 'wal_level must be set to logical' using errcode = '55000'; end $$""", database=name)
        database = self.database + "?options=-csearch_path%3Dmanaged,pg_catalog,public"
        refused = self.serve(database=database, wait=False)
        self.assertEqual(refused.process.wait(timeout=30), e2e.USAGE)
        refused.reader.join()
        self.assertIn("storage_replicates", refused.log())
        service = self.serve(database=database, environment={"HA_SIGNER_STORAGE_REPLICATES": "true"})
        self.assertEqual(service.sign(slot=1).status, 200)
        self.assertEqual(service.get("/readyz").json["replication"], {"needed": 0, "byStorage": True})
        self.assertEqual(service.figure("ha_signer_store_storage_replicates"), 1)
        for command in (["duties", "list"], ["nodes"], ["watermark", "show"], ["prune", "--older-than", "1", "--dry-run", "--rollup", e2e.ROLLUP]):
            done = e2e.run(*command, "--database-url", database)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_is_not_ready_while_the_server_waits_for_standbys_that_are_not_there(self):
        server = e2e.postgres()
        service = self.serve(database=self.database)
        self.assertEqual(service.get("/readyz").json["replication"], {"needed": 0, "connected": 0})
        server.sql("alter system set synchronous_standby_names = 'ANY 2 (b, c)'")
        try:
            server.sql("select pg_reload_conf()")
            while (ready := service.get("/readyz")).status == 200:
                pass
            self.assertEqual(ready.json["replication"], {"needed": 2, "connected": 0})
            reasons = {check["name"]: check.get("reason", "") for check in ready.json["checks"]}
            self.assertIn("0 of 2", reasons["replication"])
            self.assertNotIn("(b, c)", ready.text, "without a token no host is named")
            self.assertEqual(service.figure("ha_signer_ready"), 0)
            # Heartbeats wait, too; a role that may not see standbys shows that as well.
            while next(check for check in service.get("/readyz").json["checks"] if check["name"] == "nodeId")["ok"]:
                pass
            self.assertEqual(service.figure("ha_signer_store_standbys_needed"), 2)
            self.assertEqual(service.figure("ha_signer_store_standbys_connected"), 0)
        finally:
            server.sql("alter system reset synchronous_standby_names")
            server.sql("select pg_reload_conf()")
        while service.get("/readyz").status != 200:
            pass
        self.assertEqual(service.sign(slot=1).status, 200)
        self.assertEqual(service.figure("ha_signer_ready"), 1)

    def test_a_second_service_of_one_node_id_is_refused_at_start(self):
        self.serve(database=self.database)
        second = self.serve(database=self.database, wait=False)
        self.assertEqual(second.process.wait(timeout=30), e2e.USAGE)
        second.reader.join()
        self.assertIn("in use by another process", second.log())


class ClientTests(ServiceCase):
    def token(self, name, rights, *limits):
        made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
        return made["token"], " ".join([made["line"], *limits])

    def test_each_client_may_do_what_its_line_says(self):
        signer, signer_line = self.token("signer", "sign", f"validators={ADDRESS}", "duty-types=ATTESTATION,TXS")
        reader, reader_line = self.token("reader", "read")
        stepper, stepper_line = self.token("stepper", "steps", f"validators={ADDRESS},0x{'77' * 20}")
        holder, holder_line = self.token("holder", "steps,steps-held-keys")
        operator, operator_line = self.token("operator", "operate")
        free, free_line = self.token("free", "sign,unprotected")
        service = self.serve(keys=(e2e.KEY, key_of(2)), clients="\n".join(["# who may", signer_line, reader_line, stepper_line, holder_line, operator_line, free_line, ""]))
        for token in (None, "wrong", signer[:-1], signer + "0", ""):
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            refused = service.get("/api/v1/duties", headers=headers)
            self.refused(refused, 401, "unauthorized")
            self.assertIn("Bearer", refused.headers["www-authenticate"])
            self.refused(service.sign(headers=headers), 401, "unauthorized")
        for open_path in ("/upcheck", "/healthz", "/readyz", "/openapi.json"):
            self.assertEqual(service.get(open_path).status, 200)
        self.assertEqual(service.sign(token=signer).status, 200)
        self.refused(service.sign(token=signer, validator=OTHER_ADDRESS), 403, "forbidden")
        self.refused(service.sign(token=signer, duty_type="GOVERNANCE_VOTE"), 403, "forbidden")
        self.assertEqual(service.rpc("eth_accounts", token=signer)["result"], [ADDRESS.lower()])
        self.assertEqual(service.rpc("eth_accounts", token=free)["result"], [ADDRESS.lower(), OTHER_ADDRESS])
        for token in (reader, stepper, operator):
            self.refused(service.sign(token=token), 403, "forbidden")
            self.assertEqual(service.rpc("eth_sign", ADDRESS, "0xaa", context_of(77), token=token)["error"]["data"]["status"], 403)
        self.assertEqual(service.get("/api/v1/duties", token=reader).status, 200)
        self.assertEqual(service.get("/metrics", token=reader).status, 200)
        for token in (signer, stepper, operator, free):
            self.refused(service.get("/api/v1/duties", token=token), 403, "forbidden")
        claim = {"validator": ADDRESS, "messageHash": HASH, "context": context_of(50)}
        self.assertEqual(service.post("/api/v1/duties/claim", claim | {"validator": "0x" + "77" * 20}, token=stepper).status, 200)
        refused = self.refused(service.post("/api/v1/duties/claim", claim, token=stepper), 403, "forbidden")
        self.assertIn("lacks the right steps-held-keys", refused["detail"])
        self.assertEqual(service.post("/api/v1/duties/claim", claim, token=holder).status, 200)
        self.refused(service.post("/api/v1/duties/claim", claim | {"validator": OTHER_ADDRESS}, token=stepper), 403, "forbidden")
        self.refused(service.post("/api/v1/duties/claim", claim, token=signer), 403, "forbidden")
        self.assertEqual(service.post("/reload", "", token=operator).status, 200)
        self.refused(service.post("/reload", "", token=free), 403, "forbidden")
        # Without a context only a client with the right, and never an Aztec duty.
        self.assertIn("result", service.rpc("eth_sign", ADDRESS, "0xaa", token=free))
        self.assertIn("result", service.rpc("eth_signTypedData", ADDRESS, typed_data("SignedTxs"), token=free))
        self.assertIn("context is missing", service.rpc("eth_sign", ADDRESS, "0xaa", token=signer)["error"]["message"])
        refused = service.rpc("eth_signTypedData", ADDRESS, typed_data(), token=free)["error"]["message"]
        self.assertIn("comes without the signing context", refused)
        for token in (signer, reader, stepper, operator, free):
            self.assertNotIn(token, service.log())

    def test_a_right_that_a_reload_takes_while_the_body_comes_is_gone(self):
        signer, line = self.token("signer", "sign")
        operator, operator_line = self.token("operator", "operate")
        service = self.serve(clients="\n".join([line, operator_line, ""]))
        body = json.dumps(sign_request(slot=9))
        with service.raw() as sock:
            sock.sendall(("POST /api/v1/sign HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                          f"Authorization: Bearer {signer}\r\nContent-Length: {len(body)}\r\n\r\n").encode())
            self.assertIn(b" 100 ", sock.recv(1_000))
            service.write_clients("\n".join([line.rsplit(" ", 1)[0] + " read", operator_line, ""]))
            self.assertEqual(service.post("/reload", "", token=operator).status, 200)
            sock.sendall(body.encode())
            self.assertTrue(sock.recv(1_000).startswith(b"HTTP/1.1 403 "))
        self.assertEqual(service.get("/api/v1/duties", token=signer).json["duties"], [])

    def test_a_reload_that_removes_a_client_ends_its_streams(self):
        reader, line = self.token("reader", "read")
        other, other_line = self.token("other", "read,operate")
        service = self.serve(clients="\n".join([line, other_line, ""]))
        streams = []
        for token in (reader, other):
            connection = service.connection()
            connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {token}"})
            streams.append(connection.getresponse())
            self.assertEqual(streams[-1].status, 200)
        service.write_clients(other_line + "\n")
        self.assertEqual(service.post("/reload", "", token=other).status, 200)
        for stream in streams:
            self.assertIn(b"retry:", stream.read(), "it ends")
        # Both ask again: one is still a client.
        self.refused(service.get("/api/v1/events", token=reader), 401, "unauthorized")
        connection = service.connection()
        self.addCleanup(connection.close)
        connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {other}"})
        self.assertEqual(connection.getresponse().status, 200)

    def test_a_clients_file_that_is_wrong_is_refused_with_its_line(self):
        _, line = self.token("a", "sign")
        for text, words in (("a b\n", ":1"), (line + "\n" + line, ":2"), ("a token:sha256:12 sign", "credential"), (line + ",fly", "right"),
                            (line + " validators=0x12", "address"), (line + " nonsense", "unknown word"), ("\n# none\n", "empty")):
            service = self.serve(clients=text, wait=False)
            self.assertEqual(service.process.wait(timeout=30), e2e.USAGE)
            service.reader.join()
            self.assertIn(words, service.log())
        open_to_others = self.serve(clients=line)
        os.chmod(open_to_others.clients_file, 0o644)
        again = self.serve(wait=False, clients=None, *["--clients-file", str(open_to_others.clients_file)])
        self.assertEqual(again.process.wait(timeout=30), e2e.USAGE)
        again.reader.join()
        self.assertIn("chmod 600", again.log())

    def test_a_reload_takes_all_or_nothing(self):
        first, first_line = self.token("first", "sign,operate,read")
        second, second_line = self.token("second", "sign,operate,read")
        service = self.serve(clients=first_line)
        service.sign(token=first, slot=1)
        service.write_clients(second_line)
        service.write_keys([e2e.KEY, "nonsense"])
        refused = self.refused(service.post("/reload", "", token=first), 422, "reload_failed")
        self.assertIn("keys.json", refused["detail"])
        self.assertEqual(service.rpc("eth_accounts", token=first)["result"], [ADDRESS.lower()])
        service.write_keys([e2e.KEY, key_of(2)])
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloaded")
        self.refused(service.sign(token=first), 401, "unauthorized")
        self.assertEqual(service.rpc("eth_accounts", token=second)["result"], [ADDRESS.lower(), OTHER_ADDRESS])
        # Protection does not change.
        self.refused(service.sign("0xee", token=second, slot=1), 412, "slashing_protection")
        self.assertEqual(service.sign(token=second, slot=1, validator=OTHER_ADDRESS).status, 200)

    def test_only_tls_or_a_word_of_the_operator_opens_it_to_other_machines(self):
        _, line = self.token("a", "sign")

        def refuses(*arguments, clients=None):
            service = self.serve(*arguments, listen="0.0.0.0:0", clients=clients, wait=False)
            self.assertEqual(service.process.wait(timeout=30), e2e.USAGE)
            service.reader.join()
            return service.log()

        said = refuses(clients=line)
        self.assertIn("--tls-certificate", said)
        self.assertIn("--allow-plain-http", said)
        self.assertIn("--clients-file", refuses("--allow-plain-http"))
        self.serve("--allow-plain-http", listen="0.0.0.0:0", clients=line)

    def test_no_page_in_a_browser_is_a_client(self):
        service = self.serve()
        self.refused(service.sign(headers={"Origin": "http://evil.example"}), 403, "forbidden")
        self.refused(service.sign(headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
        # The content type that curl -d sends by default: the error says what to send instead, and what came.
        unsaid = service.sign(headers={"Content-Type": "application/x-www-form-urlencoded"})
        for word in ("Content-Type: application/json", "--json", "it says application/x-www-form-urlencoded"):
            self.assertIn(word, unsaid.json["detail"])
        self.refused(service.post("/api/v1/sign", "{"), 400, "not_json")
        self.assertEqual(service.post("/", "[").json["error"]["code"], -32700)
        self.refused(service.request("OPTIONS", "/"), 405, "method_not_allowed")


class LifeTests(ServiceCase):
    def test_listens_on_a_unix_socket_that_is_its_owners_only(self):
        path = self.folder.path / "sock"
        service = self.serve(listen=f"127.0.0.1:0,unix:{path}")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(service.sign(address=f"unix:{path}").status, 200)
        self.refused(service.sign("0xbb"), 412, "slashing_protection")
        service.kill()
        self.assertTrue(path.exists())
        second = self.serve(listen=f"unix:{path}")
        self.assertEqual(second.get("/upcheck").status, 200)
        self.assertEqual(second.stop(), 0)
        self.assertFalse(path.exists())

    def test_its_health_can_be_asked_for_on_every_address(self):
        path = self.folder.path / "health.sock"
        service = self.serve(listen=f"127.0.0.1:0,unix:{path}")
        addresses = ",".join(service.addresses)
        asked = e2e.run("health", "--listen", addresses)
        self.assertEqual((asked.returncode, asked.stdout, asked.stderr), (0, "ok\n", ""))
        everywhere = e2e.run("health", "--listen", "0.0.0.0:" + service.addresses[0].rsplit(":", 1)[1])
        self.assertEqual(everywhere.returncode, 0, everywhere.stderr)
        service.process.send_signal(signal.SIGSTOP)
        hangs = e2e.run("health", "--listen", f"unix:{path}")
        service.process.send_signal(signal.SIGCONT)
        self.assertEqual((hangs.returncode, hangs.stdout), (1, ""))
        self.assertIn("does not answer: no answer in time", hangs.stderr)
        service.stop()
        for address in service.addresses:
            gone = e2e.run("health", "--listen", address)
            self.assertEqual((gone.returncode, gone.stdout), (1, ""))
            self.assertIn(f"the service at {address} cannot be connected to", gone.stderr)

    def test_makes_a_data_directory_that_is_its_owners_only_and_keeps_it_so(self):
        # Kubernetes opens a volume with fsGroup to the group at each start; a umask of 002 does so for what is made.
        before = os.umask(0o002)
        self.addCleanup(os.umask, before)
        data = self.folder.path / "mine" / "data"
        for folder_mode, file_mode in ((0o700, 0o600), (0o2755, 0o640)):
            service = Service(self.folder.path, "--journal=false", data=False, environment={"DATA_DIRECTORY": f"{data}/"})
            self.addCleanup(service.stop)
            self.assertEqual(service.sign(slot=folder_mode).status, 200)
            self.assertEqual(data.stat().st_mode & 0o7777, folder_mode)
            self.assertEqual({path.name: oct(path.stat().st_mode & 0o7777) for path in data.iterdir()},
                             {f"signing-protection.db{suffix}": oct(file_mode) for suffix in ("", "-wal", "-shm", "-nodes")})
            service.kill()
            for path in data.iterdir():
                path.chmod(0o660)
            data.chmod(0o2775)

    def test_finishes_what_is_in_flight_before_it_ends(self):
        database = e2e.postgres().new_database()
        service = self.serve(database=database)
        name = database.rsplit("/", 1)[1]
        idle = service.connection()
        idle.connect()
        self.addCleanup(idle.close)
        # Another session holds the row that the attempt needs, so the attempt is in flight for as long as this test needs it.
        holder = Holder(name, 70)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(service.sign(slot=70)))
        asking.start()
        holder.wait_until_waited_for()
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("stopping")
        holder.let_go()
        asking.join(timeout=30)
        self.assertEqual([answer.status for answer in answers], [200])
        self.assertEqual(answers[0].headers["connection"], "close")
        self.assertEqual(service.stop(), 0)
        self.assertEqual(e2e.postgres().sql("select count(*) from validator_duties where status = 'signed'", name), "1")
        # After a clean end the next service need not wait.
        again = Service(self.folder.path, name="service1", database=database)
        self.addCleanup(again.stop)
        self.refused(again.sign("0xee", slot=70), 412, "slashing_protection")

    def test_works_on_so_many_requests_and_no_more(self):
        database = e2e.postgres().new_database()
        service = self.serve("--max-requests", "1", database=database)
        holder = Holder(database.rsplit("/", 1)[1], 71)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(service.sign(slot=71)))
        asking.start()
        holder.wait_until_waited_for()
        busy = self.refused(service.sign(slot=72), 429, "too_many_requests")
        self.assertIn("ask again", busy["detail"])
        holder.let_go()
        asking.join(timeout=30)
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(service.sign(slot=72).status, 200)

    def test_the_place_of_a_stream_is_free_soon_after_its_client_has_gone(self):
        service = self.serve()
        streams = []
        # One client alone may have half of the 32 streams.
        while (stream := self.stream(service)).status == 200:
            streams.append(stream)
        self.assertEqual((len(streams), stream.status), (16, 429))
        for stream in streams:
            stream.close()
        give_up_at = time.monotonic() + 5
        while self.stream(service).status != 200:
            self.assertLess(time.monotonic(), give_up_at)
            time.sleep(0.1)

    def stream(self, service):
        connection = service.connection()
        self.addCleanup(connection.close)
        connection.request("GET", "/api/v1/events")
        # The answer keeps the connection until it is closed.
        return connection.getresponse()

    def test_without_a_clients_file_each_peer_has_its_own_open_claims(self):
        path = f"unix:{self.folder.path}/claims"
        service = self.serve("--max-open-claims", "1", listen=f"127.0.0.1:0,{path}")
        for address, slot in ((service.addresses[0], 1), (path, 3)):
            claim = {"validator": "0x" + "77" * 20, "messageHash": HASH, "context": context_of(slot)}
            self.assertEqual(service.post("/api/v1/duties/claim", claim, address=address).status, 200, address)
            claim["context"]["slot"] = slot + 1
            self.refused(service.post("/api/v1/duties/claim", claim, address=address), 429, "too_many_open_claims")

    def test_speaks_plain_text_to_a_terminal(self):
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        (self.folder.path / "keys.json").touch(mode=0o600)
        (self.folder.path / "keys.json").write_text(json.dumps({"schemaVersion": 1, "validators": [{"attester": e2e.KEY, "feeRecipient": "0x" + "11" * 32}]}))
        command = [e2e.PROGRAM, "serve", "--key-store-directory", str(self.folder.path / "keys.json"), "--data-directory", str(self.folder.path),
                   "--l1-chain-id", "1", "--rollup", ROLLUP, "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, env=e2e.clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal)
        os.close(terminal)
        said = b""
        while b"knows_no_clients" not in said:
            said += os.read(controller, 4096)
        process.terminate()
        self.assertEqual(process.wait(timeout=30), 0)
        self.assertRegex(said.decode(), r"(?m)^\d{4}-\d\d-\d\dT\S+Z info listening on=127\.0\.0\.1:\d+ store=sqlite:")

    def test_takes_a_socket_from_the_service_manager_and_tells_it_how_it_is(self):
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notices.close)
        notices.bind(str(self.folder.path / "notify"))
        notices.settimeout(30)
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        service = StartedByManager(self.folder.path, listening.fileno(), {"NOTIFY_SOCKET": str(self.folder.path / "notify")})
        self.addCleanup(service.stop)
        self.assertIn("READY=1", notices.recv(4096).decode())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/upcheck")
        self.assertEqual(connection.getresponse().read(), b"OK")
        connection.close()
        service.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", notices.recv(4096).decode())
        self.assertIn("READY=1", notices.recv(4096).decode())
        service.process.send_signal(signal.SIGTERM)
        self.assertIn("STOPPING=1", notices.recv(4096).decode())

    def test_feeds_the_watchdog_of_the_service_manager_as_long_as_it_runs(self):
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notices.close)
        notices.bind(str(self.folder.path / "watchdog"))
        notices.settimeout(30)
        environment = {"NOTIFY_SOCKET": str(self.folder.path / "watchdog"), "WATCHDOG_USEC": "400000"}
        begin = time.monotonic()
        service = self.serve(environment=environment)
        self.assertIn("READY=1", notices.recv(4096).decode())
        self.assertEqual([notices.recv(4096) for _ in range(10)], [b"WATCHDOG=1"] * 10)
        # At once, and then twice in 400 ms. This process may hear of them late, but not too soon.
        self.assertGreater(time.monotonic() - begin, 1.7)
        service.stop()
        while b"STOPPING=1" not in notices.recv(4096):
            pass
        # WATCHDOG_PID is another process: the service sends no notices between ready and stopping.
        self.serve(environment=environment | {"WATCHDOG_PID": "1"}).stop()
        said = [notices.recv(4096)]
        while b"STOPPING=1" not in said[-1]:
            said.append(notices.recv(4096))
        self.assertEqual([notice for notice in said[said.index(next(n for n in said if b"READY=1" in n)):] if notice == b"WATCHDOG=1"], [])

    def test_an_end_does_not_wait_for_a_start(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        service = Service(self.folder.path, database=f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/ha", wait=False)
        self.addCleanup(service.stop)
        connection, _ = silent.accept()
        self.addCleanup(connection.close)
        begin = time.monotonic()
        self.assertEqual(service.stop(), -signal.SIGTERM)
        self.assertLess(time.monotonic() - begin, 5, "waiting for the database takes 15 s")

    def test_an_end_does_not_wait_for_a_reload(self):
        service = self.serve()
        encrypted = self.folder.path / "many"
        encrypted.mkdir(mode=0o700)
        made = e2e.run("keys", "import", "--key-file", self.folder.file("first", KEY), "--password-file", self.folder.file("password", "p"),
                       "--directory", str(encrypted))
        self.assertEqual(made.returncode, SIGNED, made.stderr)
        [first] = encrypted.iterdir()
        # One key many times, which is wrong. The service finds that out when all are opened, each in a second.
        for i in range(2, 60):
            (encrypted / f"{i:03}.json").write_text(first.read_text())
            (encrypted / f"{i:03}.json").chmod(0o600)
        service.write_keys([{"path": str(file), "password": "p"} for file in sorted(encrypted.iterdir())])
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloading")
        begin = time.monotonic()
        self.assertEqual(service.stop(), 0)
        self.assertLess(time.monotonic() - begin, 20, "opening all takes a minute")
        self.assertIn("about to end", service.log())
        self.assertIn('"stopped"', service.log())

    def test_every_line_of_a_request_has_its_id(self):
        service = self.serve()
        answer = service.sign(headers={"X-Request-Id": "from-the-client.1"})
        self.assertEqual(answer.headers["x-request-id"], "from-the-client.1")
        self.refused(service.sign("0xbb", headers={"X-Request-Id": "second"}), 412, "slashing_protection")
        line = service.wait_for("request", count=2)
        self.assertEqual((line["request_id"], line["outcome"], line["status"]), ("second", "slashing_protection", "412"))
        # A token at the beginning of the path is a credential; anywhere else it is a secret in a wrong place.
        service.get("/x/hs_" + "ab" * 32)
        self.assertEqual(service.wait_for("request", count=3)["path"], "/x/hs_(not shown)")
        service.get("/hs_" + "cd" * 32 + "/nowhere")
        self.assertEqual(service.wait_for("request", count=4)["path"], "/nowhere")
        forged = service.sign("0xcc", headers={"X-Request-Id": 'a" b="c'})
        self.assertRegex(forged.headers["x-request-id"], "^[0-9a-f]{16}$")


class StartedByManager(Service):
    def __init__(self, folder, descriptor, environment):
        program = e2e.PROGRAM
        wrapper = folder / "start"
        # The socket must be descriptor 3 and LISTEN_PID the process itself.
        wrapper.write_text(f'#!/bin/bash\nexec 3<&{descriptor}\nexport LISTEN_PID=$$ LISTEN_FDS=1\nexec {program} "$@"\n')
        wrapper.chmod(0o700)
        e2e.PROGRAM = str(wrapper)
        try:
            super().__init__(folder, name="managed", listen=None, environment=environment, descriptors=(descriptor,))
        finally:
            e2e.PROGRAM = program


class Holder:
    """A session that keeps the row of a duty locked. The row is not committed, so others do not see it."""

    def __init__(self, database, slot):
        self.database = database
        server = e2e.postgres()
        self.session = subprocess.Popen([server.clients / "psql", "-X", "-q", "-A", "-t", "-d", server.url(database)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=e2e.clean_environment())
        self.session.stdin.write(
            f"begin; insert into validator_duties (rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, "
            f"status, message_hash, node_id, lock_token) values ('{ROLLUP}', '{ADDRESS.lower()}', {slot}, 0, -1, 'ATTESTATION', 'signing', "
            f"'{HASH}', 'holder', 'x'); select 'held';\n")
        self.session.stdin.flush()
        assert self.session.stdout.readline() == "held\n"

    def wait_until_waited_for(self):
        server = e2e.postgres()
        while server.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()", self.database) == "0":
            pass

    def let_go(self):
        self.session.stdin.write("rollback;\n")
        self.session.stdin.close()
        self.session.wait(timeout=10)
        self.session.stdout.close()


del RouteTests

if __name__ == "__main__":
    e2e.main()
