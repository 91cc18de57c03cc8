#!/usr/bin/env python3
"""Unchanged published nodes sign through the service: the right `claimed`.

The published signer comes from npm, at the version of tests/interop; tests/claimed has what it does."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import e2e_support as e2e
from remote_signer_support import VECTORS, RemoteSigner
from service_support import Service, context_of, typed_data

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "faults/lab"))
from postgres_proxy import TO_CLIENT, PostgresProxy  # noqa: E402

WANTED = HERE.parent / "interop" / "package.json"


def installed():
    """A folder with the published package; made once for all runs, and again when the versions change."""
    cache = Path(os.environ.get("HASIGNER_TEST_CACHE", Path(tempfile.gettempdir()) / "ha-signer-test-cache"))
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / "published"
    with open(cache / "published.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "installed.json"
        if not done.exists() or done.read_text() != WANTED.read_text():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(WANTED, folder / "package.json")
            subprocess.run(["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL)
            shutil.copy(WANTED, done)
    return folder


def client(name, rights, *more):
    """A token, and its line for the clients file."""
    made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
    return made["token"], " ".join([made["line"], *more]) + "\n"


def new_database(version):
    name = f"claimed{version}_{os.urandom(3).hex()}"
    e2e.postgres().sql(f"create database {name}")
    url = e2e.postgres().url(name)
    migrated = e2e.run("migrate", "up", "--to", str(version), "--database-url", url)
    assert migrated.returncode == 0, migrated.stderr
    return url


class PublishedNodes(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.database = new_database(1)

    def service(self, clients, name="service", **more):
        service = Service(self.folder.path, database=self.database, node=name, clients=clients, name=name, **more)
        self.addCleanup(service.stop)
        return service

    def sql(self, text):
        return e2e.postgres().sql(text, self.database.rsplit("/", 1)[1])

    def test_the_published_signer_signs_each_duty_once_whatever_its_faults(self):
        token, line = client("node", "sign,claimed")
        newer, other_line = client("node5", "sign,claimed,auth-requests")
        services = [self.service(line + other_line, name) for name in ("serve-1", "serve-2")]
        for name in ("remote_key_store.mjs", "published_signer.test.mjs"):
            shutil.copy(HERE.parent / "claimed" / name, self.folder.path / name)
        (self.folder.path / "node_modules").symlink_to(installed() / "node_modules")
        run = subprocess.run(
            ["node", "--test", "--test-reporter=spec", self.folder.path / "published_signer.test.mjs"], capture_output=True, text=True, timeout=240,
            env=e2e.clean_environment(SERVE_URLS=" ".join(f"http://{service.addresses[0]}/{token}" for service in services),
                                      AUTH_URL=f"http://{services[0].addresses[0]}/{newer}",
                                      DATABASE_URL=self.database, ADDRESS=e2e.ADDRESS, LOG_LEVEL="silent"))
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("fail 0", run.stdout)
        for service in services:
            self.assertNotIn(token, service.log(), "a token never reaches the log")

    def claim(self, message_hash, *, slot=7, duty_type="ATTESTATION", node="aztec-1"):
        self.sql("insert into validator_duties (rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, "
                 f"duty_type, status, message_hash, node_id, lock_token) values ('{e2e.ROLLUP}', '{e2e.ADDRESS.lower()}', {slot}, 0, -1, "
                 f"'{duty_type}', 'signing', '{message_hash}', '{node}', repeat('f', 32))")

    def test_what_was_released_binds_the_protected_routes_too(self):
        token, line = client("node", "sign,claimed")
        first, second = self.service(line, "serve-1"), self.service(line, "serve-2")
        data = typed_data(payload=e2e.HASH)
        signed = first.rpc("eth_signTypedData", e2e.ADDRESS, data, context_of(7), token=token)
        self.assertIn("result", signed)
        message_hash = self.sql("select message_hash from validator_duties")

        # A request with a context is protected as ever; here another slot's duty is claimed by a node.
        self.claim(message_hash, slot=8)
        released = second.rpc("eth_signTypedData", e2e.ADDRESS, data, token=token)
        self.assertEqual(released["result"], signed["result"])
        self.sql("update ha_signer_released set signature = '0x' || repeat('11', 65)")
        planted = second.rpc("eth_signTypedData", e2e.ADDRESS, data, token=token)["error"]["data"]
        self.assertTrue(planted["type"].endswith(":duty_already_signed"), planted)
        self.assertEqual(("signature" in planted, planted["signatureUnusable"]), (False, True))
        self.sql("delete from validator_duties where slot = 8")
        for service in (first, second):
            refused = service.rpc("eth_signTypedData", e2e.ADDRESS, typed_data(payload=e2e.OTHER_HASH), context_of(8), token=token)
            self.assertTrue(refused["error"]["data"]["type"].endswith(":slashing_protection"), refused)
            self.assertEqual(refused["error"]["data"]["existingMessageHash"], message_hash)
        again = first.rpc("eth_signTypedData", e2e.ADDRESS, data, context_of(8), token=token)
        self.assertEqual(again["result"], signed["result"], "the same message may be signed by every door")

    def test_a_service_with_the_rights_of_a_signer_releases_and_cannot_change_what_was_released(self):
        role = f"signer_{os.urandom(3).hex()}"
        self.sql(f"create role {role} login")
        granted = e2e.run("migrate", "up", "--to", "1", "--grant", role, "--database-url", self.database)
        self.assertEqual(granted.returncode, 0, granted.stderr)
        before, after = self.database.split("//", 1)
        self.database = f"{before}//{role}@{after.split('@', 1)[1]}"
        token, line = client("node", "sign,claimed")
        service = self.service(line)
        self.claim(e2e.HASH, slot=7)
        signed = service.rpc("eth_sign", e2e.ADDRESS, e2e.HASH, token=token)
        self.assertIn("result", signed)
        confirmed_at = self.sql("select confirmed_at from ha_signer_released")
        # A repetition writes the row again, and the protected routes ask for it.
        self.assertEqual(service.rpc("eth_sign", e2e.ADDRESS, e2e.HASH, token=token)["result"], signed["result"])
        self.assertGreater(self.sql("select confirmed_at from ha_signer_released"), confirmed_at)
        self.assertIn("result", service.rpc("eth_sign", e2e.ADDRESS, "0xaa", context_of(9), token=token))
        for column in ("message_hash = 'x'", "digest = 'x'", "slot = slot + 1", "block_index = 1", "rollup_address = 'x'", "released_at = now()"):
            with self.assertRaisesRegex(RuntimeError, "permission denied for table ha_signer_released", msg=column):
                self.sql(f"set role {role}; update ha_signer_released set {column}")
        # As retention does it.
        self.sql(f"set role {role}; delete from ha_signer_released where ctid = any (array (select ctid from ha_signer_released for update skip locked))")
        self.assertEqual(self.sql("select low_slot from ha_signer_watermarks"), "7")

    def test_a_row_with_a_slot_that_cannot_have_begun_is_refused_and_named(self):
        token, line = client("node", "sign,claimed")
        service = self.service(line)
        absurd = 2**63 - 1
        self.claim(e2e.HASH, slot=absurd)
        refused = service.rpc("eth_sign", e2e.ADDRESS, e2e.HASH, token=token)["error"]["data"]
        self.assertTrue(refused["type"].endswith(":invalid_input"), refused)
        self.assertIn(f"the slot of the row of ATTESTATION is '{absurd}', but must be at most", refused["detail"])
        self.assertEqual(self.sql("select count(*) from ha_signer_released"), "0")
        self.claim(e2e.OTHER_HASH, slot=8)
        self.assertIn("result", service.rpc("eth_sign", e2e.ADDRESS, e2e.OTHER_HASH, token=token))

    def test_what_a_protected_route_signed_binds_the_claims_of_nodes(self):
        token, line = client("node", "sign,claimed")
        service = self.service(line)
        self.assertIn("result", service.rpc("eth_signTypedData", e2e.ADDRESS, typed_data(payload=e2e.HASH), context_of(7), token=token))
        self.sql("delete from validator_duties")
        self.claim(e2e.OTHER_HASH, slot=7)
        refused = service.rpc("eth_sign", e2e.ADDRESS, e2e.OTHER_HASH, token=token)
        self.assertTrue(refused["error"]["data"]["type"].endswith(":outside_watermark"), refused)

    def test_a_release_whose_answer_was_lost_is_in_doubt_though_the_store_is_gone_after_that(self):
        token, line = client("node", "sign,claimed")
        data = typed_data(payload=e2e.HASH)
        signed = self.service(line, "serve-0").rpc("eth_signTypedData", e2e.ADDRESS, data, context_of(7), token=token)
        self.assertIn("result", signed)
        message_hash = self.sql("select message_hash from validator_duties")
        # So that there is time to break the connections before the release is answered.
        self.sql("create function pause() returns trigger language plpgsql as 'begin perform pg_sleep(1); return null; end'; "
                 "create trigger pause after insert on ha_signer_released for each row execute function pause()")
        for slot, is_gone in ((8, False), (9, True)):
            with self.subTest(is_gone=is_gone):
                self.sql(f"delete from validator_duties where slot = {slot - 1}; delete from ha_signer_released")
                self.claim(message_hash, slot=slot)
                proxy = PostgresProxy(e2e.postgres().port)
                self.addCleanup(proxy.close)
                database = self.database.replace(f":{e2e.postgres().port}/", f":{proxy.port}/")
                service = Service(self.folder.path, database=database, node=f"serve-{slot}", name=f"serve-{slot}", clients=line,
                                  environment={"VALIDATOR_SIGNER_CALL_TIMEOUT_MS": "4000"})
                self.addCleanup(service.stop)
                answers = []
                asking = threading.Thread(target=lambda: answers.append(service.rpc("eth_signTypedData", e2e.ADDRESS, data, token=token)))
                asking.start()
                self.wait_for("select count(*) from pg_stat_activity where wait_event = 'PgSleep'")
                proxy.drop(TO_CLIENT)
                self.wait_for("select count(*) from ha_signer_released")
                if is_gone:
                    proxy.close()
                asking.join()
                service.kill()  # A clean stop would wait for the store.
                problem = answers[0]["error"]["data"]
                self.assertTrue(problem["type"].endswith(":in_doubt"), problem)

    def wait_for(self, count):
        give_up_at = time.monotonic() + 20
        while self.sql(count) != "1":
            self.assertLess(time.monotonic(), give_up_at, count)
            time.sleep(0.02)

    def test_without_the_right_nothing_is_signed_without_a_context(self):
        token, line = client("node", "sign")
        service = self.service(line)
        self.claim(e2e.HASH)
        refused = service.rpc("eth_sign", e2e.ADDRESS, e2e.HASH, token=token)
        self.assertTrue(refused["error"]["data"]["type"].endswith(":context_missing"), refused)

    def test_a_client_limited_to_duty_types_is_so_by_the_row(self):
        token, line = client("node", "sign,claimed", "duty-types=BLOCK_PROPOSAL")
        service = self.service(line)
        self.claim(e2e.HASH)
        refused = service.rpc("eth_sign", e2e.ADDRESS, e2e.HASH, token=token)
        self.assertTrue(refused["error"]["data"]["type"].endswith(":duty_not_claimed"), refused)
        self.assertIn(e2e.HASH, refused["error"]["message"])
        refused = service.rpc("eth_signTypedData", e2e.ADDRESS, typed_data(), token=token)
        self.assertTrue(refused["error"]["data"]["type"].endswith(":forbidden"), refused)

    def test_a_remote_signer_sees_no_message_that_no_node_has_claimed(self):
        token, line = client("node", "sign,claimed")
        vector = json.loads(VECTORS.read_text())["personal"][5]
        with RemoteSigner(e2e.ADDRESS) as remote:
            service = self.service(line, keys=[{"address": e2e.ADDRESS, "remoteSignerUrl": remote.url()}])
            refused = service.rpc("eth_sign", e2e.ADDRESS, vector["message"], token=token)
            self.assertTrue(refused["error"]["data"]["type"].endswith(":duty_not_claimed"), refused)
            asked = remote.counts()
            self.assertEqual([what for what in asked if what.startswith("method") and what != "method eth_accounts"], [], asked)

    def test_a_refusal_says_what_stands_instead_of_the_row(self):
        token, line = client("node", "sign,claimed")
        service = self.service(line)

        message = "0x" + "ab" * 32

        def said(message_hash=message):
            refused = service.rpc("eth_sign", e2e.ADDRESS, message_hash, token=token)
            self.assertTrue(refused["error"]["data"]["type"].endswith(":duty_not_claimed"), refused)
            return refused["error"]["message"]

        self.assertIn("nor has it another row of this validator", said())
        self.claim(message)
        for change, wanted in (("status = 'signed', signature = '0x'", "the row of ATTESTATION at slot 7 by node aztec-1 has this message, but it is *signed* already"),
                               ("validator_address = '0x' || upper(substr(validator_address, 3))", "has upper-case digits in its validator_address"),
                               ("message_hash = '0x' || upper(substr(message_hash, 3))", "has upper-case digits in its message_hash"),
                               ("rollup_address = '0x' || repeat('7', 40)", f"is of rollup 0x{'7' * 40}"),
                               ("duty_type = 'GOVERNANCE_VOTE'", "has the duty type GOVERNANCE_VOTE"),
                               ("block_index_within_checkpoint = 0", "has block index 0")):
            self.sql(f"update validator_duties set {change}")
            self.assertIn(wanted, said())
            self.sql("delete from validator_duties; delete from ha_signer_watermarks")
            self.claim(message)
        self.assertIn(f"the newest row of such a duty, ATTESTATION at slot 7 by node aztec-1, is *signing* with message_hash {message}",
                      said(e2e.OTHER_HASH))
        self.assertIn("result", service.rpc("eth_sign", e2e.ADDRESS, message, token=token))
        self.sql("delete from validator_duties")
        self.assertIn("the message was released for ATTESTATION at slot 7 by service service", said())

    def test_requests_are_counted_by_what_became_of_them_and_old_messages_are_pruned(self):
        token, line = client("node", "sign,claimed,read")
        service = self.service(line)
        self.claim(e2e.HASH)
        for message in (e2e.HASH, e2e.HASH, e2e.OTHER_HASH):
            service.rpc("eth_sign", e2e.ADDRESS, message, token=token)
        metrics = service.get("/metrics", token=token).text
        for outcome, count in (("signed", 2), ("duty_not_claimed", 1)):
            self.assertRegex(metrics, rf'ha_signer_claimed_requests_count{{[^}}]*outcome="{outcome}"[^}}]*}} {count}\n')
        self.sql("delete from validator_duties; update ha_signer_released set released_at = now() - interval '2 hours'")
        pruned = e2e.run("prune", "--older-than", "1", "--yes", "--database-url", self.database)
        self.assertEqual((pruned.returncode, pruned.stdout), (0, "removed 1 duties older than 1 hour\n"), pruned.stderr)
        self.assertEqual(self.sql("select count(*) from ha_signer_released"), "0")
        self.assertEqual(self.sql("select max(low_slot) from ha_signer_watermarks"), "7")

    def test_a_right_that_would_sign_a_duty_without_protection_is_refused(self):
        refused = e2e.run("token", "--rights", "sign,claimed,unprotected")
        self.assertEqual(refused.returncode, e2e.USAGE)
        self.assertIn("claimed,auth-requests where all nodes behind the client are of Aztec 5.0 or later", refused.stderr)

    def test_a_store_that_no_node_shares_is_refused_at_start(self):
        _, line = client("node", "sign,claimed")
        service = Service(self.folder.path, clients=line, wait=False)
        self.addCleanup(service.stop)
        self.assertEqual(service.process.wait(timeout=30), 2)
        service.reader.join(timeout=5)
        self.assertIn("client node has the right claimed", service.log())

    def test_a_reload_cannot_bring_the_right_to_such_a_store(self):
        token, line = client("node", "sign,operate")
        service = Service(self.folder.path, clients=line)
        self.addCleanup(service.stop)
        service.write_clients(line.replace("sign,operate", "sign,operate,claimed"))
        refused = service.post("/reload", {}, token=token)
        self.assertEqual(refused.status, 422)
        self.assertIn("right claimed", refused.json["detail"])

    def test_a_token_in_the_path_is_a_credential_like_any_other(self):
        token, line = client("reader", "read")
        service = self.service(line)
        connection = service.connection()
        self.addCleanup(connection.close)
        for path, wanted in ((f"/{token}/api/v1/duties", 200), (f"/{token}x/api/v1/duties", 401), ("/hs_/api/v1/duties", 401)):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, wanted, path)
        connection.request("GET", f"/{token}/api/v1/duties", headers={"Authorization": f"Bearer {token}"})
        self.assertEqual(connection.getresponse().status, 401, "two credentials are none")


if __name__ == "__main__":
    e2e.main()
