#!/usr/bin/env python3
"""Typed data that is slow to hash, requests whose clients have gone, and more duties than fit: an honest client signs beside each."""

import http.client
import json
import os
import time
from pathlib import Path

import attack_support
from attack_support import RANDOM, AttackCase, AttackThreads, attack_rounds, connect
from e2e_support import ADDRESS, ROLLUP
from service_support import context_of, sign_request, typed_data

ATTACKERS = 6


def document(types, message):
    return {"types": types, "primaryType": "One", "domain": {}, "message": message}


def many_types(size):
    return document({"One": []} | {f"T{i}": [{"name": "a", "type": "One"}] for i in range(size // 40)}, {})


def many_fields(size):
    return document({"One": [{"name": f"f{i}", "type": "bool"} for i in range(size // 40)]}, {})


def types_within_types(size):
    """Each type has a value and refers to all the others, as many as are allowed."""
    count = min(size // 120, 40)
    types = {f"T{i}": [{"name": "x", "type": "One[]"}] for i in range(count)}
    types["One"] = [{"name": f"f{i}", "type": f"T{i}[]"} for i in range(count)]
    value = {f"f{i}": [{"x": []}] for i in range(count)}
    return document(types, value)


def many_values(size):
    return document({"One": [{"name": "a", "type": "uint256[]"}]}, {"a": [1] * (size // 3)})


def long_names(size):
    name = "A" * (size // 2)
    return document({"One": [{"name": "a", "type": name + "[]"}], name: []}, {"a": [{}] * (size // 10)})


def unsigned_members(size):
    return document({"One": []}, {f"m{i}": None for i in range(size // 16)})


def deep_value(size):
    value = [True] * (size // 6)
    for _ in range(40):
        value = [value]
    return document({"One": [{"name": "a" * 80, "type": "bool" + "[]" * 41}]}, {"a" * 80: value})


KINDS = (many_types, many_fields, types_within_types, many_values, long_names, unsigned_members, deep_value)


def rpc_body(data, context=None):
    params = [ADDRESS, data] + ([context] if context else [])
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_signTypedData_v4", "params": params}).encode()


def sign_body(data, slot):
    return json.dumps({"validator": ADDRESS, "context": context_of(slot), "typedData": data}).encode()


def request_text(path, body, token):
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{bearer}Content-Length: {len(body)}\r\n\r\n".encode() + body


def cpu_seconds(service):
    """What all threads of the service have used."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Attackers(AttackThreads):
    """Threads that each send one prepared request after the other, over kept connections or over one connection for each."""

    def __init__(self, service, texts, *, waits=True, count=ATTACKERS):
        super().__init__(range(count))
        self.statuses = []
        self.service, self.texts, self.waits = service, texts, waits

    def attack(self, number):
        sock = None
        while not self.over.is_set():
            number += 1
            try:
                sock = sock or connect(self.service.addresses[0], 60)
                sock.sendall(self.texts[number % len(self.texts)])
                if self.waits:
                    response = http.client.HTTPResponse(sock)
                    response.begin()
                    response.read()
                    self.statuses.append(response.status)
                if not self.waits or response.will_close:
                    sock.close()
                    sock = None
            except (OSError, http.client.HTTPException):
                if sock:
                    sock.close()
                sock = None
        if sock:
            sock.close()


class TypedDataTests(AttackCase):
    def serve_two(self, rights, *arguments):
        """A service with an honest client and an attacker of these rights, and their tokens."""
        honest, token = self.client("honest", "sign")
        attacker, attacker_token = self.client("attacker", rights)
        return self.serve(*arguments, clients=honest + attacker), token, attacker_token

    def attack(self, service, token, texts, **how):
        with self.honest_beside(service, token=token):
            with Attackers(service, texts, **how) as attackers:
                for _ in attack_rounds():
                    time.sleep(0.05)
        return attackers.statuses

    def dropped(self, service, token):
        """The requests that were not worked for because their client had gone."""
        lines = service.get("/metrics", token=token).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("ha_signer_http_requests_count") and 'status="408"' in line)

    def test_a_client_that_may_only_read_is_refused_before_anything_is_hashed(self):
        service, token, attacker = self.serve_two("read,steps")
        texts = [request_text("/", rpc_body(kind(size), context_of(1)), attacker) for kind in KINDS for size in (30_000, 252_000, 1_000_000)]
        texts += [request_text("/api/v1/sign", sign_body(kind(252_000), 1), attacker) for kind in KINDS]
        statuses = self.attack(service, token, texts)
        self.assertLessEqual(set(statuses), {200, 403, 429})
        # The same refusal for small typed data and for large, at nearly the same cost.
        for method in ("eth_sign", "eth_signTypedData", "eth_signTransaction"):
            body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": [ADDRESS, many_fields(40_000), context_of(1)]}
            for call in (body, dict(body, params=[1, 2, 3, 4])):
                self.assertEqual(service.post("/", call, token=attacker).json["error"]["data"]["type"].rsplit(":", 1)[1], "forbidden")
        costs = []
        for size in (140_000, 2_000_000):
            text = request_text("/", rpc_body(many_fields(size), context_of(1)), attacker)
            with connect(service.addresses[0]) as sock:
                began = cpu_seconds(service)
                for _ in range(50):
                    sock.sendall(text)
                    response = http.client.HTTPResponse(sock)
                    response.begin()
                    self.assertEqual((response.status, json.loads(response.read())["type"].rsplit(":", 1)[1]), (403, "forbidden"))
                costs.append((cpu_seconds(service) - began) / 50)
        print(f"refusals of 140 kB and 2 MB of typed data: {costs[0] * 1000:.1f} and {costs[1] * 1000:.1f} ms of CPU")
        # Receiving is all that it costs.
        self.assertLess(costs[1], 0.02)

    def test_a_client_that_may_sign_does_not_stop_others_by_what_is_slow_to_hash(self):
        service, token, attacker = self.serve_two("sign")
        texts = [request_text("/", rpc_body(kind(size), context_of(1)), attacker) for kind in KINDS for size in (2_000, 60_000, 252_000, 2_000_000)]
        RANDOM.shuffle(texts)
        self.attack(service, token, texts)

    def test_many_small_ones(self):
        service, token, attacker = self.serve_two("sign")
        texts = [request_text("/", rpc_body(kind(1_500), context_of(1)), attacker) for kind in KINDS]
        self.attack(service, token, texts, count=20)

    def cpu_within_a_second(self, service):
        began = cpu_seconds(service)
        time.sleep(1)
        return cpu_seconds(service) - began

    def test_clients_that_have_gone_are_not_worked_for(self):
        service, token, attacker = self.serve_two("sign,read")
        text = request_text("/", rpc_body(many_values(1_000_000), context_of(1)), attacker)
        self.attack(service, token, [text], waits=False)
        # What was sent last is dropped: so the service is idle soon.
        deadline = time.monotonic() + 8
        while (used := self.cpu_within_a_second(service)) >= 0.3:
            self.assertLess(time.monotonic(), deadline, f"the service works for clients that have gone: {used} s of CPU in a second")
        # Above, most bodies may be refused before they are whole: together they take all the room. These come one by one, faster than they can be read;
        # on a busy machine only now and then.
        deadline = time.monotonic() + 60
        while self.dropped(service, attacker) == 0 and time.monotonic() < deadline:
            for _ in range(30):
                with connect(service.addresses[0], 60) as sock:
                    sock.sendall(text)
            time.sleep(0.1)
        self.assertGreater(self.dropped(service, attacker), 0)

    def test_a_greedy_signer_with_lists_of_thousands(self):
        service, token, attacker = self.serve_two("sign", "--max-duties-per-request", "2000")
        first = RANDOM.randrange(2**40)
        texts = [request_text("/api/v1/sign", json.dumps({"duties": [sign_request(slot=first + number * 2_000 + i) for i in range(2_000)]}).encode(), attacker)
                 for number in range(100)]
        self.attack(service, token, texts)

    def test_without_a_clients_file(self):
        service = self.serve()
        texts = [request_text("/", rpc_body(kind(size), context_of(1)), None) for kind in KINDS for size in (2_000, 60_000, 252_000)]
        self.attack(service, None, texts)


def vote(domain, primary_type, fields, message, chain_id=31337):
    return {"types": {primary_type: [{"name": name, "type": kind} for name, kind in fields]}, "primaryType": primary_type,
            "domain": {"name": domain, "version": "1", "chainId": chain_id, "verifyingContract": "0x" + "22" * 20}, "message": message}


def signal(slot, instance=ROLLUP, **more):
    return vote("EmpireBase", "Signal", (("payload", "address"), ("slot", "uint256"), ("instance", "address")),
                {"payload": "0x" + "11" * 20, "slot": slot, "instance": instance}, **more)


def slashing_vote(domain, slot, **more):
    return vote(domain, "Vote", (("votes", "bytes"), ("slot", "uint256")), {"votes": "0x01", "slot": slot}, **more)


DUTY_TYPES = ("BLOCK_PROPOSAL", "CHECKPOINT_PROPOSAL", "ATTESTATION", "ATTESTATIONS_AND_SIGNERS", "GOVERNANCE_VOTE", "SLASHING_VOTE", "AUTH_REQUEST", "TXS")


class VoteTests(AttackCase):
    """Votes signed as something else would let a validator vote twice in a slot."""

    def setUp(self):
        super().setUp()
        honest, self.token = self.client("honest", "sign")
        attacker, self.attacker = self.client("attacker", "sign,unprotected")
        self.clients = honest + attacker

    def ways(self, service, data, context):
        """The same typed data by every route that signs it, as an object and as a text: the kinds of the refusals, None for a signature."""
        for form in (data, json.dumps(data)):
            for method in ("eth_signTypedData", "eth_signTypedData_v4"):
                call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": [ADDRESS, form, context]}
                for body in (call, [call]):
                    answer = service.post("/", body, token=self.attacker).json
                    answer = answer[0] if isinstance(answer, list) else answer
                    yield None if "result" in answer else answer["error"]["data"]["type"].rsplit(":", 1)[1]
            duty = {"validator": ADDRESS, "typedData": form} | ({"context": context} if context else {})
            answer = service.post("/api/v1/sign", duty, token=self.attacker)
            yield None if answer.status == 200 else answer.kind
            answer = service.post("/api/v1/sign", {"duties": [duty]}, token=self.attacker).json["results"][0]
            yield None if "signature" in answer else answer["problem"]["type"].rsplit(":", 1)[1]

    def never_signed(self, service, data, context):
        kinds = set(self.ways(service, data, context))
        self.assertLessEqual(kinds, {"invalid_input", "context_missing"}, (data, context))

    def votes_as(self, service, data, own_type, slot):
        for duty_type in DUTY_TYPES:
            if duty_type == own_type:
                continue
            self.never_signed(service, data, context_of(slot, duty_type, 0 if duty_type == "BLOCK_PROPOSAL" else None))
        self.never_signed(service, data, None)
        self.never_signed(service, data, context_of(slot + 1, own_type))
        # The first one is signed; all others are the same duty with the same data.
        kinds = list(self.ways(service, data, context_of(slot, own_type)))
        self.assertEqual((kinds[0], set(kinds[1:])), (None, {"duty_already_signed"}))

    def test_votes_are_signed_as_themselves_only(self):
        service = self.serve(clients=self.clients)
        with self.honest_beside(service, token=self.token):
            self.votes_as(service, signal(42), "GOVERNANCE_VOTE", 42)
            self.votes_as(service, slashing_vote("SlashingProposer", "0x2b"), "SLASHING_VOTE", 43)
            self.votes_as(service, slashing_vote("TallySlashingProposer", "44"), "SLASHING_VOTE", 44)
            for data, duty_type in ((signal(50, instance="0x" + "33" * 20), "GOVERNANCE_VOTE"), (signal(50, chain_id=1), "GOVERNANCE_VOTE"),
                                    (slashing_vote("SlashingProposer", 50, chain_id=1), "SLASHING_VOTE"),
                                    (slashing_vote("OtherProposer", 50), "SLASHING_VOTE"), (slashing_vote("EmpireBase", 50), "SLASHING_VOTE"),
                                    (slashing_vote("SlashingProposer", 2**64), "SLASHING_VOTE")):
                for context in (context_of(50, duty_type), context_of(50, "AUTH_REQUEST"), None):
                    self.never_signed(service, data, context)
            other_fields = signal(50)
            other_fields["types"]["Signal"].append({"name": "more", "type": "uint256"})
            other_fields["message"]["more"] = 1
            self.never_signed(service, other_fields, context_of(50, "GOVERNANCE_VOTE"))
            self.never_signed(service, other_fields, context_of(50, "AUTH_REQUEST"))
            # Coordination payloads too.
            self.never_signed(service, typed_data(), context_of(50, "AUTH_REQUEST"))

    def test_signals_of_the_empire_slashing_proposer_are_slashing_votes(self):
        service = self.serve("--empire-slashing-proposer", "0x" + "22" * 20, clients=self.clients)
        with self.honest_beside(service, token=self.token):
            self.votes_as(service, signal(42), "SLASHING_VOTE", 42)


if __name__ == "__main__":
    attack_support.main()
