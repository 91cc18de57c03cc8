#!/usr/bin/env python3
"""Administration of a service while it runs: drain, the state and the result of reloads, by HTTP and by the command."""

import json
import signal
import threading
import time
import unittest

import e2e_support as e2e
from e2e_support import ADDRESS
from serve_test import Holder
from service_support import Service, context_of, key_of, sign_request

OTHER = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"  # of private key 2
ELSEWHERE = "0x6813eb9362372eef6200f3b1dbc3f819671cba69"  # of private key 3, which no service has


class AdminCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.audit = self.folder.path / "audit.jsonl"
        self.operator, operator_line = self.token("olga", "operate")
        self.signer, signer_line = self.token("sam", "sign,steps,read")
        self.clients = operator_line + signer_line
        self.token_file = self.folder.file("token", self.operator + "\n")

    @staticmethod
    def token(name, rights):
        made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
        return made["token"], made["line"] + "\n"

    def serve(self, *arguments, **options):
        options.setdefault("clients", self.clients)
        service = Service(self.folder.path, "--audit-log", str(self.audit), *arguments, **options)
        self.addCleanup(service.stop)
        return service

    def command(self, service, *words, code=0, token_file=None):
        done = e2e.run(*words, "--listen", service.addresses[0], "--token-file", token_file or self.token_file, "--json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def events(self, service):
        """Of the audit log, once the service has ended."""
        self.assertEqual(service.stop(), 0)
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


class Drain(AdminCase):
    def test_a_drained_service_signs_and_claims_nothing_new_and_says_so(self):
        service = self.serve()
        self.assertEqual(service.sign(slot=5, token=self.signer).status, 200)
        duty = {"validator": ELSEWHERE, "messageHash": e2e.HASH, "context": context_of(6)}
        held = duty | {"lockToken": service.post("/api/v1/duties/claim", duty, token=self.signer).json["lockToken"]}
        drained = service.post("/api/v1/drain", None, token=self.operator).json["drained"]
        self.assertEqual(drained["by"], "client olga")
        for answer in (service.sign(slot=7, token=self.signer), service.sign(slot=7, duty_type="AUTH_REQUEST", token=self.signer),
                       service.post("/api/v1/duties/claim", duty | {"context": context_of(7)}, token=self.signer)):
            self.assertEqual((answer.status, answer.kind, answer.headers["retry-after"]), (503, "draining", "1"))
        refused = service.rpc("eth_sign", ADDRESS, "0xaa", context_of(7), token=self.signer)["error"]
        self.assertEqual(refused["code"], -32028)
        many = service.post("/api/v1/sign", {"duties": [sign_request(slot=slot) for slot in range(10, 30)]}, token=self.signer).json["results"]
        self.assertEqual({result["problem"]["type"] for result in many}, {"urn:ha-signer:problem:draining"})
        self.assertEqual([row["slot"] for row in service.get("/api/v1/duties", token=self.signer).json["duties"]], ["6", "5"])
        ready = service.get("/readyz", token=self.signer)
        self.assertEqual(ready.status, 503)
        self.assertEqual([(check["name"], check["reason"]) for check in ready.json["checks"] if not check["ok"]],
                         [("accepting", "an operator has drained the service")])
        # What was claimed before may be recorded.
        self.assertEqual(service.post("/api/v1/duties/record", held | {"signature": e2e.signature_of(e2e.HASH, key_of(3))}, token=self.signer).status, 200)
        # A second request changes nothing, and a reload neither.
        self.assertEqual(service.post("/api/v1/drain", None, token=self.operator).json["drained"], drained)
        self.assertEqual(service.post("/reload", None, token=self.operator).status, 200)
        self.assertEqual(service.get("/api/v1/service", token=self.operator).json["drained"], drained)
        self.assertIsNone(service.post("/api/v1/undrain", None, token=self.operator).json["drained"])
        self.assertEqual(service.get("/readyz").status, 200)
        self.assertEqual(service.sign(slot=7, token=self.signer).status, 200)
        events = self.events(service)
        self.assertEqual([(event["event"], event["client"]) for event in events if event["event"] in ("drain", "undrain")], [("drain", "olga"), ("undrain", "olga")])
        self.assertEqual([event["outcome"] for event in events if event["event"] == "sign" and event["slot"] == "7"], ["draining", "draining", "draining", "signed"])

    def test_what_is_in_flight_is_finished(self):
        database = e2e.postgres().new_database()
        service = self.serve(database=database)
        # Another session holds the row that the attempt needs, so the attempt is in flight for as long as this test needs it.
        holder = Holder(database.rsplit("/", 1)[1], 70)
        answers = []
        signing = threading.Thread(target=lambda: answers.append(service.sign(slot=70, token=self.signer)))
        signing.start()
        holder.wait_until_waited_for()
        state = service.post("/api/v1/drain", None, token=self.operator).json
        self.assertEqual(state["attemptsInFlight"], 1)
        holder.let_go()
        signing.join(timeout=30)
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(service.get("/api/v1/service", token=self.operator).json["attemptsInFlight"], 0)

    def test_only_a_client_with_the_right_may(self):
        service = self.serve()
        for method, path in (("GET", "/api/v1/service"), ("POST", "/api/v1/drain"), ("POST", "/api/v1/undrain"), ("POST", "/reload")):
            self.assertEqual(service.request(method, path, token=self.signer).status, 403, path)
            self.assertEqual(service.request(method, path).status, 401, path)
            self.assertEqual(service.request(method, path, token=self.operator, headers={"Origin": "http://evil.example"}).status, 403, path)
        self.assertEqual(service.get("/readyz").status, 200)

    def test_a_client_that_is_restricted_to_validators_acts_on_no_whole_service(self):
        one, line = self.token("one", "operate")
        service = self.serve(keys=(e2e.KEY, key_of(2)), clients=self.clients + line.strip() + f" validators={ADDRESS}\n")
        for path in ("/api/v1/drain", "/api/v1/undrain", "/reload"):
            refused = service.post(path, None, token=one)
            self.assertEqual((refused.status, refused.kind), (403, "forbidden"), path)
            self.assertIn("is restricted to some validators", refused.json["detail"])
        self.assertEqual(service.get("/readyz").status, 200)
        service.post("/api/v1/drain", None, token=self.operator)
        self.assertEqual(service.post("/api/v1/undrain", None, token=one).status, 403)
        self.assertEqual(service.get("/readyz").status, 503)
        service.write_keys([key_of(3)])
        self.assertEqual(service.post("/reload", None, token=self.operator).status, 200)
        seen = service.get("/api/v1/service", token=one).json
        self.assertEqual((seen["drained"]["by"], seen["reload"]["last"]["attestersAdded"], seen["reload"]["last"]["attestersRemoved"]), ("client olga", [], [ADDRESS.lower()]))
        seen = service.get("/api/v1/service", token=self.operator).json["reload"]["last"]
        self.assertEqual((seen["attestersAdded"], sorted(seen["attestersRemoved"])), ([ELSEWHERE], sorted([ADDRESS.lower(), OTHER])))
        self.assertEqual([event["event"] for event in self.events(service) if event.get("client") == "one"], [])

    def test_a_restart_ends_it(self):
        service = self.serve()
        service.post("/api/v1/drain", None, token=self.operator)
        service.stop()
        self.assertEqual(self.serve().sign(slot=5, token=self.signer).status, 200)


class KeySwitchCase(AdminCase):
    __test__ = False
    store = None

    def setUp(self):
        if self.store is None:
            self.skipTest("runs once for each store")
        super().setUp()
        self.database = e2e.postgres().new_database() if self.store == "postgres" else f"sqlite:{self.folder.path}/service/data/signing-protection.db"

    def serve_here(self, **options):
        keys = options.pop("keys", (e2e.KEY, key_of(2)))
        return self.serve(keys=keys, **({"database": self.database} | options if self.store == "postgres" else options))

    def switch(self, service, what, address=ADDRESS, **more):
        return service.post(f"/api/v1/keys/{what}", {"address": address}, token=self.operator, **more)

    def keys(self, service):
        return {key["address"]: key for key in service.get("/api/v1/keys", token=self.signer).json["keys"]}

    def test_a_disabled_key_signs_and_claims_nothing_until_it_is_enabled(self):
        service = self.serve_here()
        self.assertEqual(service.sign(slot=5, token=self.signer).status, 200)
        self.assertEqual(self.switch(service, "disable").json, {"address": ADDRESS.lower(), "enabled": False, "changed": True})
        self.assertEqual(self.switch(service, "disable").json["changed"], False)
        refused = service.sign(slot=6, token=self.signer)
        self.assertEqual((refused.status, refused.kind), (403, "key_disabled"))
        self.assertEqual(service.sign(slot=6, duty_type="AUTH_REQUEST", token=self.signer).kind, "key_disabled")
        self.assertEqual(service.rpc("eth_sign", ADDRESS, "0xaa", context_of(6), token=self.signer)["error"]["code"], -32027)
        # What was signed before is still refused as before it, and other keys sign.
        self.assertEqual(service.sign("0xbb", slot=5, token=self.signer).kind, "key_disabled")
        self.assertEqual(service.sign(slot=6, validator=OTHER, token=self.signer).status, 200)
        self.assertEqual(self.switch(service, "disable", ELSEWHERE).status, 200)
        duty = {"validator": ELSEWHERE, "messageHash": e2e.HASH, "context": context_of(6)}
        self.assertEqual(service.post("/api/v1/duties/claim", duty, token=self.signer).kind, "key_disabled")
        rows = service.get("/api/v1/duties?slot=6", token=self.signer).json["duties"]
        self.assertEqual([row["validator"] for row in rows], [OTHER])
        keys = self.keys(service)
        self.assertEqual({key: keys[key]["enabled"] for key in keys}, {ADDRESS.lower(): False, OTHER: True, ELSEWHERE: False})
        self.assertEqual((keys[OTHER]["changedBy"], keys[ELSEWHERE]["attester"]), (None, False))
        self.assertEqual(service.get("/readyz").status, 200)
        self.assertEqual(self.switch(service, "enable").json["changed"], True)
        self.assertEqual(service.sign(slot=6, token=self.signer).status, 200)
        self.assertEqual(service.sign("0xbb", slot=5, token=self.signer).kind, "slashing_protection")
        told = [(event["event"], event.get("client") or event["by"].split(" at ")[0]) for event in self.events(service) if event.get("signer") == ADDRESS.lower() and "key" in event["event"]]
        self.assertEqual(told[:2], [("key_disabled", "client olga"), ("disable_key", "olga")])
        self.assertEqual(told[-2:], [("key_enabled", "client olga"), ("enable_key", "olga")])

    def test_it_holds_over_restarts_and_reloads(self):
        service = self.serve_here()
        self.switch(service, "disable")
        self.assertEqual(service.post("/reload", None, token=self.operator).status, 200)
        self.assertEqual(service.sign(slot=6, token=self.signer).kind, "key_disabled")
        service.stop()
        service = self.serve_here()
        self.assertEqual(service.sign(slot=6, token=self.signer).kind, "key_disabled")
        self.assertIn("client olga", service.wait_for("key_disabled")["by"])

    def test_the_command_is_seen_by_a_service_that_runs(self):
        service = self.serve_here()
        run = lambda *words: e2e.run("keys", *words, "--database-url", self.database, "--json")
        self.assertEqual(json.loads(run("disable", ADDRESS).stdout), {"address": ADDRESS.lower(), "enabled": False, "changed": True})
        began = time.monotonic()
        self.assertIn("user ", service.wait_for("key_disabled", timeout=10)["by"])
        self.assertLess(time.monotonic() - began, 6)  # 2 s on a machine that is not busy
        self.assertEqual(service.sign(slot=6, token=self.signer).kind, "key_disabled")
        self.assertEqual(service.figure("ha_signer_keys_disabled", token=self.signer), 1)
        listed = json.loads(run("disabled").stdout)["disabled"]
        self.assertEqual([one["address"] for one in listed], [ADDRESS.lower()])
        self.assertEqual(json.loads(run("enable", ADDRESS).stdout)["changed"], True)
        service.wait_for("key_enabled")
        self.assertEqual(service.sign(slot=6, token=self.signer).status, 200)
        self.assertEqual(json.loads(run("disabled").stdout)["disabled"], [])

    def test_only_a_client_with_the_right_and_for_its_validators_may(self):
        one, line = self.token("one", "operate")
        service = self.serve_here(clients=self.clients + line.strip() + f" validators={OTHER}\n")
        for what in ("disable", "enable"):
            self.assertEqual(service.post(f"/api/v1/keys/{what}", {"address": ADDRESS}, token=self.signer).status, 403)
            self.assertEqual(service.post(f"/api/v1/keys/{what}", {"address": ADDRESS}, token=one).kind, "forbidden")
            self.assertEqual(service.post(f"/api/v1/keys/{what}", {"address": OTHER}, token=one).status, 200)
            for body in ({}, {"address": 5}, {"address": "0x12"}, {"address": ADDRESS, "more": 1}, [], {"address": "0x" + "1" * 5000}):
                self.assertEqual(service.post(f"/api/v1/keys/{what}", body, token=self.operator).kind, "invalid_input", body)
            self.assertEqual(service.post(f"/api/v1/keys/{what}", "{", token=self.operator).kind, "invalid_input")


class WatermarkCase(AdminCase):
    __test__ = False
    store = None

    def setUp(self):
        if self.store is None:
            self.skipTest("runs once for each store")
        super().setUp()
        self.database = e2e.postgres().new_database() if self.store == "postgres" else None

    def serve_here(self, **options):
        return self.serve(keys=(e2e.KEY, key_of(2)), database=self.database, **options)

    def wish(self, service, **wish):
        return service.post("/api/v1/watermarks", {"validator": "all", "dutyType": "all"} | wish, token=self.operator)

    def test_forbids_slots_to_one_and_to_all_and_never_allows_more(self):
        service = self.serve_here()
        one = self.wish(service, validator=ADDRESS, dutyType="ATTESTATION", low=10)
        self.assertEqual(one.json["watermarks"], [{"validator": ADDRESS.lower(), "dutyType": "ATTESTATION", "applied": True, "low": "10", "high": None}])
        self.assertEqual(service.sign(slot=10, token=self.signer).kind, "outside_watermark")
        self.assertEqual(service.sign(slot=11, token=self.signer).status, 200)
        self.assertEqual(service.sign(slot=10, validator=OTHER, token=self.signer).status, 200)
        every = self.wish(service, low="20").json["watermarks"]
        self.assertEqual((len(every), {mark["validator"] for mark in every}), (12, {ADDRESS.lower(), OTHER}))
        for validator in (ADDRESS, OTHER):
            self.assertEqual(service.sign(slot=20, validator=validator, token=self.signer).kind, "outside_watermark")
            self.assertEqual(service.sign(slot=21, validator=validator, token=self.signer).status, 200)
        for less in (5, 19):
            refused = self.wish(service, validator=ADDRESS, dutyType="ATTESTATION", low=less).json["watermarks"][0]
            self.assertEqual((refused["applied"], refused["low"]), (False, "20"), less)
        # It would forbid every slot to come.
        self.assertEqual((self.wish(service, high=0).status, self.wish(service, high=0).json["field"]), (400, "high"))
        self.assertEqual(service.sign(slot=22, token=self.signer).status, 200)
        # Validators whose keys are elsewhere count once they have a watermark.
        self.wish(service, validator=ELSEWHERE, dutyType="ATTESTATION", low=1)
        self.assertEqual(len(self.wish(service, dutyType="ATTESTATION", low=22).json["watermarks"]), 3)
        lines = [event for event in self.events(service) if event["event"] == "set_watermark"]
        self.assertEqual(len(lines), 1 + 12 + 2 + 1 + 3)
        self.assertEqual((lines[0]["client"], lines[0]["low"], lines[0]["high"], lines[0]["outcome"]), ("olga", "10", "none", "applied"))
        self.assertEqual(lines[13]["outcome"], "refused: it would allow more")

    def test_forbids_slots_to_every_validator_also_to_those_to_come(self):
        service = self.serve_here()
        self.assertEqual([mark["validator"] for mark in self.wish(service, validator="every", low=30).json["watermarks"]], ["every"] * 6)
        self.assertEqual(service.sign(slot=30, token=self.signer).kind, "outside_watermark")
        duty = {"validator": ELSEWHERE, "messageHash": e2e.HASH}
        self.assertEqual(service.post("/api/v1/duties/claim", duty | {"context": context_of(30)}, token=self.signer).kind, "outside_watermark")
        self.assertEqual(service.post("/api/v1/duties/claim", duty | {"context": context_of(31)}, token=self.signer).status, 200)
        service.write_keys([e2e.KEY, key_of(2), key_of(4)])
        self.assertEqual(service.post("/reload", None, token=self.operator).status, 200)
        new = service.rpc("eth_accounts", token=self.signer)["result"]
        new = next(address for address in new if address.lower() not in (ADDRESS.lower(), OTHER))
        self.assertEqual(service.sign(slot=30, validator=new, token=self.signer).kind, "outside_watermark")
        self.assertEqual(service.sign(slot=31, validator=new, token=self.signer).status, 200)
        less = self.wish(service, validator="every", dutyType="ATTESTATION", low=29).json["watermarks"]
        self.assertEqual(less, [{"validator": "every", "dutyType": "ATTESTATION", "applied": False, "low": "30", "high": None}])
        self.assertEqual({mark["validator"] for mark in service.get("/api/v1/watermarks", token=self.signer).json["watermarks"]}, {"every"})
        self.assertEqual({event["signer"] for event in self.events(service) if event["event"] == "set_watermark"}, {"every"})

    def test_what_is_wrong_is_refused_before_anything_is_set(self):
        limited, line = self.token("one", "operate")
        service = self.serve_here(clients=self.clients + line.strip() + f" validators={OTHER}\n")
        for wish, field in (({}, "low"), ({"low": -1}, "low"), ({"low": "x"}, "low"), ({"low": None}, "low"), ({"low": 2**62}, "low"),
                            ({"dutyType": "TXS", "low": 5}, "dutyType"), ({"validator": "0x12", "low": 5}, "validator"), ({"slot": 5}, "slot")):
            refused = self.wish(service, **wish)
            self.assertEqual((refused.status, refused.json["field"]), (400, field), wish)
        self.assertEqual(service.post("/api/v1/watermarks", {"validator": "all", "dutyType": "all", "low": 5}, token=self.signer).status, 403)
        self.assertEqual(service.post("/api/v1/watermarks", {"validator": ADDRESS, "dutyType": "all", "low": 5}, token=limited).status, 403)
        self.assertEqual(service.post("/api/v1/watermarks", {"validator": "every", "dutyType": "all", "low": 5}, token=limited).status, 403)
        self.assertEqual(service.get("/api/v1/watermarks", token=self.signer).json["watermarks"], [])
        its_own = service.post("/api/v1/watermarks", {"validator": "all", "dutyType": "ATTESTATION", "low": 5}, token=limited).json["watermarks"]
        self.assertEqual([mark["validator"] for mark in its_own], [OTHER])


class WatermarkOnSqlite(WatermarkCase):
    __test__ = True
    store = "sqlite"


class WatermarkOnPostgres(WatermarkCase):
    __test__ = True
    store = "postgres"

    def test_a_role_that_may_not_sign_is_not_ready_and_says_what_it_lacks(self):
        server = e2e.postgres()
        name = self.database.rsplit("/", 1)[1]
        server.sql("create role poor_signer login")
        self.addCleanup(server.sql, "drop owned by poor_signer; drop role poor_signer", name)
        self.assertEqual(e2e.run("migrate", "up", "--database-url", self.database, "--grant", "poor_signer").returncode, 0)
        owner, self.database = self.database, self.database.replace("postgres@", "poor_signer@")
        service = self.serve_here()
        self.assertEqual(service.get("/readyz").status, 200)
        server.sql("revoke insert on validator_duties from poor_signer", name)
        self.assertEqual(self.wait_for_status(service, 503)["name"], "store")
        self.assertIn("insert on validator_duties", service.wait_for("not_ready")["reason"])
        self.assertEqual(e2e.run("migrate", "up", "--database-url", owner, "--grant", "poor_signer").returncode, 0)
        self.wait_for_status(service, 200)
        self.assertEqual(service.sign(slot=5, token=self.signer).status, 200)

    def wait_for_status(self, service, status):
        """Of readiness, which holds for half a second. Gives the first check that fails."""
        give_up_at = time.monotonic() + 10
        while (ready := service.get("/readyz", token=self.signer)).status != status:
            self.assertLess(time.monotonic(), give_up_at, ready.text)
        return next((check for check in ready.json["checks"] if not check["ok"]), None)

    def test_a_role_without_the_right_sets_nothing(self):
        server = e2e.postgres()
        server.sql("create role plain_signer login")
        self.addCleanup(server.sql, "drop owned by plain_signer", self.database.rsplit("/", 1)[1])
        self.assertEqual(e2e.run("migrate", "up", "--database-url", self.database, "--grant", "plain_signer").returncode, 0)
        self.database = self.database.replace("postgres@", "plain_signer@")
        service = self.serve_here()
        refused = self.wish(service, low=5)
        self.assertEqual(refused.status, 503)
        self.assertIn("no watermark was confirmed", refused.json["detail"])
        self.assertIn("ha_signer_set_watermark", refused.json["detail"])
        self.assertEqual(service.sign(slot=5, token=self.signer).status, 200)
        # A key may be disabled by any signer.
        self.assertEqual(service.post("/api/v1/keys/disable", {"address": ADDRESS}, token=self.operator).status, 200)


class KeySwitchOnSqlite(KeySwitchCase):
    __test__ = True
    store = "sqlite"


class KeySwitchOnPostgres(KeySwitchCase):
    __test__ = True
    store = "postgres"

    def sql(self, text):
        return e2e.postgres().sql(text, self.database.rsplit("/", 1)[1])

    def test_another_node_sees_it_and_keeps_to_it_while_it_cannot_read(self):
        first = self.serve_here(name="first", node="node-1")
        second = Service(self.folder.path, name="second", node="node-2", database=self.database, clients=self.clients)
        self.addCleanup(second.stop)
        self.switch(first, "disable")
        second.wait_for("key_disabled")
        self.assertEqual(second.sign(slot=6, token=self.signer).kind, "key_disabled")
        self.sql("alter table ha_signer_key_switches rename to hidden")
        second.wait_for("key_switches_unreadable")
        self.assertEqual(second.sign(slot=6, token=self.signer).kind, "key_disabled")
        self.assertFalse(second.get("/api/v1/keys", token=self.signer).json["current"])
        self.assertEqual(self.switch(first, "enable").status, 503)
        self.assertEqual(first.sign(slot=6, token=self.signer).kind, "key_disabled")
        self.sql("alter table hidden rename to ha_signer_key_switches")
        second.wait_for("key_switches_readable")
        self.switch(first, "enable")
        second.wait_for("key_enabled")
        self.assertEqual(second.sign(slot=6, token=self.signer).status, 200)

    def test_a_list_of_many_keys_is_whole(self):
        self.sql("insert into ha_signer_key_switches select '0x' || lpad(to_hex(n), 40, '0'), false, 'a person', now() from generate_series(1, 2500) n")
        service = self.serve_here()
        keys = self.keys(service)
        self.assertEqual((len(keys), sum(key["enabled"] for key in keys.values()), sum(key["attester"] for key in keys.values())), (2502, 2, 2))
        self.assertEqual(keys["0x" + "0" * 37 + "9c4"]["changedBy"], "a person")

    def test_a_service_that_has_never_read_the_switches_signs_nothing_and_is_not_ready(self):
        first = self.serve_here(name="first", node="node-1")
        self.switch(first, "disable")
        self.sql("alter table ha_signer_key_switches rename column is_enabled to hidden")
        service = Service(self.folder.path, name="second", node="node-2", database=self.database, clients=self.clients, keys=(e2e.KEY, key_of(2)))
        self.addCleanup(service.stop)
        self.assertIn("nothing is claimed or signed", service.wait_for("key_switches_unreadable")["meaning"])
        duty = {"validator": ELSEWHERE, "messageHash": e2e.HASH, "context": context_of(6)}
        for refused in (service.sign(slot=6, token=self.signer), service.sign(slot=6, validator=OTHER, token=self.signer),
                        service.sign(slot=6, duty_type="AUTH_REQUEST", token=self.signer), service.post("/api/v1/duties/claim", duty, token=self.signer)):
            self.assertEqual((refused.status, refused.kind), (503, "unavailable"))
            self.assertIn("which keys operators have disabled", refused.json["detail"])
        ready = service.get("/readyz", token=self.signer)
        self.assertEqual((ready.status, [check["name"] for check in ready.json["checks"] if not check["ok"]]), (503, ["keySwitches"]))
        self.assertEqual((service.figure("ha_signer_key_switches_unreadable", token=self.signer), service.figure("ha_signer_ready", token=self.signer)), (1, 0))
        # The one that has read them signs on with its other keys.
        first.wait_for("key_switches_unreadable")
        ready = first.get("/readyz", token=self.signer)
        self.assertEqual((ready.status, [check["name"] for check in ready.json["checks"] if not check["ok"]]), (200, ["keySwitches"]))
        self.assertEqual(first.sign(slot=6, validator=OTHER, token=self.signer).status, 200)
        self.assertEqual((first.figure("ha_signer_key_switches_unreadable", token=self.signer), first.figure("ha_signer_ready", token=self.signer)), (1, 1))
        self.sql("alter table ha_signer_key_switches rename column hidden to is_enabled")
        service.wait_for("key_switches_readable")
        self.assertIn("client olga", service.wait_for("key_disabled")["by"])
        self.assertEqual(service.sign(slot=7, token=self.signer).kind, "key_disabled")
        self.assertEqual(service.sign(slot=7, validator=OTHER, token=self.signer).status, 200)
        self.assertEqual(service.get("/readyz").status, 200)
        self.assertEqual(service.figure("ha_signer_key_switches_unreadable", token=self.signer), 0)

    def test_a_database_without_the_table_serves_and_keys_can_be_disabled_once_it_is_migrated(self):
        self.sql("drop table ha_signer_key_switches")
        service = self.serve_here()
        self.assertEqual(service.sign(slot=6, token=self.signer).status, 200)
        self.assertEqual(service.get("/readyz").status, 200)
        self.assertEqual(self.switch(service, "disable").status, 503)
        status = json.loads(e2e.run("migrate", "status", "--database-url", self.database, "--json").stdout)
        self.assertEqual(status["own_missing"], ["table ha_signer_key_switches"])
        self.assertEqual(e2e.run("migrate", "up", "--database-url", self.database).returncode, 0)
        self.assertEqual(self.switch(service, "disable").status, 200)
        self.assertEqual(service.sign(slot=7, token=self.signer).kind, "key_disabled")
        # A table that was there and is gone is a fault: what was read before holds.
        self.sql("drop table ha_signer_key_switches")
        service.wait_for("key_switches_unreadable")
        self.assertEqual(service.sign(slot=8, token=self.signer).kind, "key_disabled")


class Reload(AdminCase):
    def state(self, service):
        return service.get("/api/v1/service", token=self.operator).json["reload"]

    def test_says_when_by_whom_and_what_changed(self):
        service = self.serve()
        self.assertEqual(self.state(service), {"running": False, "last": None, "lastFailed": None})
        service.write_keys([key_of(2)])
        anna = self.token("anna", "read")[1]
        service.write_clients(self.clients.replace("sign,steps,read", "sign,read") + anna)
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloaded")
        first = self.state(service)["last"]
        self.assertEqual((first["by"], first["succeeded"], first["what"]), ("a signal", True, "1 attesters, 3 clients"))
        self.assertEqual((first["attestersAdded"], first["attestersRemoved"]), ([OTHER], [ADDRESS.lower()]))
        self.assertEqual((first["clientsAdded"], first["clientsRemoved"], first["clientsChanged"]), (["anna"], [], ["sam"]))
        service.write_keys(["0x12"])
        refused = service.post("/reload", None, token=self.operator).json
        state = self.state(service)
        self.assertEqual((state["last"]["succeeded"], state["last"]["by"], state["last"]["what"]), (False, "client olga", refused["detail"]))
        self.assertEqual((state["last"]["attestersAdded"], state["last"]), ([], state["lastFailed"]))
        service.write_keys([key_of(2)])
        service.write_clients(self.clients)
        service.post("/reload", None, token=self.operator)
        state = self.state(service)
        self.assertEqual((state["last"]["clientsRemoved"], state["last"]["clientsChanged"], state["lastFailed"]["what"]), (["anna"], ["sam"], refused["detail"]))
        self.assertLess(state["lastFailed"]["endedAt"], state["last"]["beganAt"])
        told = [event for event in self.events(service) if event["event"] == "reload"]
        self.assertEqual((told[0]["attestersAdded"], told[0]["clientsChanged"], told[1]["outcome"]), (OTHER, "sam", "reload_failed"))

    def test_one_that_is_refused_changes_nothing(self):
        service = self.serve()
        service.write_keys([key_of(2)])
        # Nothing that claims can share the SQLite file of this service.
        service.write_clients(self.clients + self.token("node", "claimed")[1])
        refused = service.post("/reload", None, token=self.operator)
        self.assertEqual(refused.status, 422, refused.text)
        self.assertIn("has the right claimed", refused.json["detail"])
        held = service.get("/api/v1/keys", token=self.signer).text
        self.assertIn(ADDRESS.lower(), held.lower())
        self.assertNotIn(OTHER, held.lower())


class Command(AdminCase):
    def test_does_what_the_routes_do(self):
        service = self.serve()
        self.assertIsNone(self.command(service, "service", "status")["drained"])
        self.assertEqual(self.command(service, "service", "drain")["drained"]["by"], "client olga")
        self.assertEqual(service.get("/readyz").status, 503)
        shown = e2e.run("service", "status", "--listen", service.addresses[0], "--token-file", self.token_file)
        self.assertIn("by client olga; 0 attempts in flight", shown.stdout)
        self.assertIsNone(self.command(service, "service", "undrain")["drained"])
        self.assertEqual(self.command(service, "service", "reload"), {"reloaded": "1 attesters, 2 clients"})
        service.write_keys(["0x12"])
        self.assertIn("refuses", self.command(service, "service", "reload", code=1)["error"]["message"])
        shown = e2e.run("service", "status", "--listen", service.addresses[0], "--token-file", self.token_file).stdout
        self.assertIn("last reload: ", shown)
        self.assertNotIn("last failed reload", shown)

    def test_a_refusal_is_told_and_no_token_is_shown(self):
        service = self.serve()
        wrong = self.folder.file("wrong", self.signer)
        refused = self.command(service, "service", "drain", code=2, token_file=wrong)
        self.assertIn("client sam lacks the right operate", refused["error"]["message"])
        self.assertNotIn(self.signer, json.dumps(refused))
        opened = self.folder.file("open", self.operator, mode=0o644)
        self.assertIn("chmod", self.command(service, "service", "drain", code=2, token_file=opened)["error"]["message"])
        service.stop()
        self.assertIn("cannot be connected to", self.command(service, "service", "drain", code=6)["error"]["message"])

    def test_asks_over_a_unix_socket(self):
        service = self.serve(listen=f"unix:{self.folder.path}/socket")
        self.assertIsNotNone(self.command(service, "service", "drain")["drained"])


if __name__ == "__main__":
    e2e.main()
