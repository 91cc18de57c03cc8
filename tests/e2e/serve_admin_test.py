#!/usr/bin/env python3
"""Administration of a service while it runs: drain, the state and the result of reloads, by HTTP and by the command."""

import json
import signal
import threading
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

    def test_a_restart_ends_it(self):
        service = self.serve()
        service.post("/api/v1/drain", None, token=self.operator)
        service.stop()
        self.assertEqual(self.serve().sign(slot=5, token=self.signer).status, 200)


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
