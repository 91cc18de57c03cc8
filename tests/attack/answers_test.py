#!/usr/bin/env python3
"""Small requests with large answers that are not read: other clients wait no longer, the memory is bounded and given back."""

import json
import threading
import time

import attack_support
import e2e_support as e2e
from attack_support import RANDOM, AttackCase, attack_rounds, connect, resident_bytes
from service_support import key_of, sign_request

MIB = 1024 * 1024


def batch(calls):
    return json.dumps(calls, separators=(",", ":"))


QUERY = {"jsonrpc": "2.0", "id": 1, "method": "eth_accounts"}


class AnswerTests(AttackCase):
    def setUp(self):
        super().setUp()
        honest, self.honest = self.client("honest", "sign")
        greedy, self.greedy = self.client("greedy", "sign,read")
        self.service = self.serve(clients=honest + greedy, keys=[key_of(i + 1) for i in range(100)])

    def text(self, body, path="/", method="POST"):
        return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {self.greedy}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def unread(self, requests, sockets=60):
        """Sends requests over sockets that do not read, and over new ones when those are dropped."""
        held = []
        for _ in range(sockets):
            sock = connect(self.service.addresses[0])
            sock.setblocking(False)
            held.append(sock)
        most = 0
        for _ in attack_rounds():
            for index, sock in enumerate(held):
                try:
                    sock.send(RANDOM.choice(requests))
                except BlockingIOError:
                    pass
                except OSError:
                    sock.close()
                    held[index] = connect(self.service.addresses[0])
                    held[index].setblocking(False)
            most = max(most, resident_bytes(self.service))
            time.sleep(0.02)
        for sock in held:
            sock.close()
        return most

    def attack(self, *bodies, most_held):
        requests = [self.text(body) for body in bodies]
        self.service.post("/api/v1/sign", sign_request(slot=1), token=self.honest)
        before = resident_bytes(self.service)
        with self.honest_beside(self.service, token=self.honest):
            most = self.unread(requests)
        self.assertLess(most - before, most_held, "the memory for answers is not bounded")
        until = time.monotonic() + 20
        while resident_bytes(self.service) > before + 40 * MIB and time.monotonic() < until:
            time.sleep(0.2)
        after = resident_bytes(self.service)
        print(f"resident: {before // MIB} MiB before, {most // MIB} at most, {after // MIB} after")
        self.assertLess(after, before + 40 * MIB, "the memory of the answers is not given back")

    def test_batches_of_members_that_are_not_calls(self):
        self.attack(batch([1] * 10_000), batch([{}] * 6_000), most_held=256 * MIB)

    def test_batches_of_queries(self):
        self.attack(batch([QUERY] * 10_000), batch([QUERY | {"method": "x" * 30}] * 5_000), most_held=320 * MIB)

    def test_batches_of_duties_that_are_refused(self):
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_sign", "params": ["0x" + "99" * 20, "0x12", {"dutyType": "ATTESTATION", "slot": 5}]}
        self.attack(batch([call] * 3_000), most_held=384 * MIB)


class BoundTests(AttackCase):
    def test_an_answer_is_bounded_and_says_so(self):
        service = self.serve(keys=[key_of(i + 1) for i in range(200)])
        calls = [QUERY | {"id": i} for i in range(10_000)]
        answer = service.post("/", calls)
        self.assertLess(len(answer.text), 12 * MIB)
        answers = answer.json
        self.assertEqual([one["id"] for one in answers], list(range(10_000)))
        self.assertEqual(len(answers[0]["result"]), 200)
        self.assertIn("too large", answers[-1]["error"]["message"])

    def test_members_that_are_not_calls_are_answered_shortly_and_count(self):
        service = self.serve()
        answer = service.post("/", [1] * 10_000)
        self.assertLess(len(answer.text), 200 * 10_000)
        self.assertEqual({one["error"]["code"] for one in answer.json}, {-32600})
        self.assertEqual(service.post("/", [1] * 10_001).status, 413)
        # Signatures come in full beside them.
        mixed = service.post("/", [1] * 5_000 + [{"jsonrpc": "2.0", "id": 9, "method": "eth_sign", "params": [e2e.ADDRESS, "0x12", {"dutyType": "ATTESTATION", "slot": 5}]}])
        self.assertEqual(len(mixed.json[-1]["result"]), 132)

    def test_a_socket_that_does_not_read_is_dropped_soon(self):
        service = self.serve(keys=[key_of(i + 1) for i in range(200)])
        body = batch([QUERY] * 10_000)
        with connect(service.addresses[0]) as sock:
            sock.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 200"))
            began = time.monotonic()
            while service.figure("ha_signer_http_connections") > 1:
                self.assertLess(time.monotonic() - began, 6)
                time.sleep(0.1)

    def test_other_clients_are_answered_while_one_has_all_its_room(self):
        honest, honest_token = self.client("honest", "sign")
        greedy, greedy_token = self.client("greedy", "sign")
        service = self.serve(clients=honest + greedy, keys=[key_of(i + 1) for i in range(200)])
        body = batch([QUERY] * 2_000)
        statuses = []
        socks = []

        def ask():
            sock = connect(service.addresses[0])
            sock.sendall((f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {greedy_token}\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            statuses.append(sock.recv(12))
            socks.append(sock)

        askers = [threading.Thread(target=ask) for _ in range(40)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        self.assertEqual(service.sign(slot=7, token=honest_token).status, 200)
        many = service.post("/api/v1/sign", {"duties": [sign_request(slot=8 + i) for i in range(500)]}, token=honest_token)
        self.assertEqual((many.status, sum("signature" in one for one in many.json["results"])), (200, 500))
        # What is not sent in time is refused or cut, and never more than a share.
        self.assertIn(b"HTTP/1.1 429", statuses)
        for sock in socks:
            sock.close()


if __name__ == "__main__":
    attack_support.main()
