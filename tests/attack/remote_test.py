#!/usr/bin/env python3
"""One client has more signed by a slow remote signer than that can sign, and holds all that waits for it: others have their keys, there and here, and their connections."""

import http.client
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attack_support
import e2e_support as e2e
from attack_support import AttackCase, AttackThreads, attack_rounds, connect, resident_bytes
from service_support import context_of, key_of, sign_request

MIB = 1024 * 1024
# Private keys 1 to 3.
ADDRESSES = (e2e.ADDRESS, "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf", "0x6813eb9362372eef6200f3b1dbc3f819671cba69")
LOCAL, REMOTE, GREEDY = ADDRESSES
# Of private key 4, which no service has.
ELSEWHERE = "0x1eff47bc3a10a45d4b230b5d10e37751fe6aa718"


class Greedy(AttackThreads):
    """Asks for many duties at once, over connections of its own; each request is `body(number)`."""

    def __init__(self, service, token, body, senders=8):
        super().__init__(range(senders))
        self.service, self.token, self.body = service, token, body

    def attack(self, number):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        while not self.over.is_set():
            connection = self.service.connection(timeout=5)
            try:
                connection.request("POST", "/api/v1/sign", json.dumps(self.body(number)), headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                pass
            connection.close()
            number += len(self.threads)


class RemoteTests(AttackCase):
    @classmethod
    def setUpClass(cls):
        attack_support.allow_many_files()

    def setUp(self):
        super().setUp()
        backend = self.serve(name="backend", keys=[key_of(number + 1) for number in range(3)])
        self.signer = subprocess.Popen([sys.executable, "-B", Path(__file__).with_name("slow_signer.py"), backend.addresses[0], "50", *ADDRESSES],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_signer)
        self.url = f"http://127.0.0.1:{int(self.signer.stdout.readline())}"
        local, self.local = self.client("local", "sign", f"validators={LOCAL}")
        remote, self.remote = self.client("remote", "sign", f"validators={REMOTE}")
        greedy, self.greedy = self.client("greedy", "sign", f"validators={GREEDY},{ELSEWHERE}")
        reader, self.reader = self.client("reader", "read")
        self.lines = local + remote + greedy + reader

    def end_signer(self):
        self.signer.stdin.close()
        self.signer.wait(timeout=20)
        self.signer.stdout.close()

    def served(self, *arguments, greedy_path="/", **more):
        """A service with a key of its own, one at the remote signer, and the one of the greedy client."""
        return self.serve(*arguments, clients=self.lines, keys=[key_of(1), {"address": REMOTE, "remoteSignerUrl": self.url},
                                                               {"address": GREEDY, "remoteSignerUrl": self.url + greedy_path}], **more)

    def duties(self, number, count=2_000):
        first = 300_000 + number * count % 90_000
        return {"duties": [sign_request(slot=first + place, validator=GREEDY) for place in range(count)]}

    def test_others_have_their_turn_at_the_remote_signer(self):
        service = self.served()
        worst = 0
        with Greedy(service, self.greedy, self.duties):
            # A client that comes once in a while: the greedy one is alone in between.
            for number in attack_rounds(attack_support.SECONDS + 8):
                time.sleep(1.5)
                began = time.monotonic()
                answer = service.sign(slot=number + 1, validator=REMOTE, token=self.remote)
                self.assertEqual(answer.status, 200, answer.text)
                worst = max(worst, time.monotonic() - began)
        print(f"worst wait for the remote signer {worst:.3f} s")
        self.assertLess(worst, self.lowest_bar)

    def test_calls_that_are_late_keep_no_other_key_from_signing(self):
        service = self.served("--signer-call-timeout-ms", "1000", greedy_path="/never")
        with self.honest_beside(service, token=self.local):
            with Greedy(service, self.greedy, lambda number: self.duties(number, 200), senders=2):
                for _ in attack_rounds(attack_support.SECONDS + 2):
                    time.sleep(0.1)

    def test_duties_that_wait_take_bounded_memory(self):
        service = self.served(greedy_path="/never")
        # All for one duty, so that one waits for the other.
        body = {"duties": [sign_request("0x" + format(place, "08x"), slot=400_000, validator=GREEDY) for place in range(10_000)]}
        before = most = resident_bytes(service)
        with Greedy(service, self.greedy, lambda _: body, senders=16):
            for _ in attack_rounds(attack_support.SECONDS + 6):
                most = max(most, resident_bytes(service))
                time.sleep(0.1)
            began = time.monotonic()
            self.assertEqual(service.sign(slot=1, token=self.local).status, 200)
            self.assertLess(time.monotonic() - began, 2 * self.lowest_bar)
        print(f"resident: {before // MIB} MiB before, {most // MIB} at most")
        self.assertLess(most - before, 500 * MIB)

    def ask_for_more_than_may_be_in_flight(self, service, sender):
        """Has one request wait in part for the remote signer, and in part for a place. Gives its answer to come."""
        answer = sender.submit(service.post, "/api/v1/sign", self.duties(0, 10_000), token=self.greedy, timeout=90)
        give_up_at = time.monotonic() + 60
        while service.figure("ha_signer_attempts_in_flight", token=self.reader) < 4_096:
            self.assertLess(time.monotonic(), give_up_at)
            time.sleep(0.05)
        return answer

    def test_what_a_client_holds_is_recorded_and_released_however_many_of_its_duties_wait(self):
        self.lines = self.lines.replace(" sign ", " sign,steps ")
        service = self.served(greedy_path="/never")
        elsewhere = {"validator": ELSEWHERE, "messageHash": e2e.HASH}
        held = []
        for slot in (1, 2):
            duty = elsewhere | {"context": context_of(slot)}
            held.append(duty | {"lockToken": service.post("/api/v1/duties/claim", duty, token=self.greedy).json["lockToken"]})
        signed = held[0] | {"signature": e2e.signature_of(e2e.HASH, key_of(4))}
        with ThreadPoolExecutor(1) as sender:
            answer = self.ask_for_more_than_may_be_in_flight(service, sender)
            began = time.monotonic()
            recorded = service.post("/api/v1/duties/record", signed, token=self.greedy)
            released = service.post("/api/v1/duties/release", held[1], token=self.greedy)
            self.assertLess(time.monotonic() - began, 2 * self.lowest_bar)
            self.assertFalse(answer.done())
            self.assertEqual((recorded.json, released.json), ({"recorded": True}, {"released": True}))
            service.kill()

    def test_duties_that_wait_for_a_place_are_not_begun_once_their_client_was_removed(self):
        service = self.served("--signer-call-timeout-ms", "8000", greedy_path="/never")
        with ThreadPoolExecutor(1) as sender:
            answer = self.ask_for_more_than_may_be_in_flight(service, sender)
            service.write_clients("".join(line for line in self.lines.splitlines(True) if not line.startswith("greedy ")))
            service.process.send_signal(signal.SIGHUP)
            service.wait_for("reloaded")
            results = answer.result().json["results"]
        kinds = [result["problem"]["type"].rsplit(":", 1)[1] for result in results]
        self.assertNotIn("unauthorized", kinds[:4_096])
        self.assertEqual(set(kinds[4_096:]), {"unauthorized"})

    def test_connections_that_wait_for_a_remote_signer_keep_no_client_out(self):
        path = f"unix:{self.folder.path}/socket"
        for address, most in (("127.0.0.1:0", 1_536), (path, 2_048)):
            service = self.served(greedy_path="/never", listen=address, name=f"waiting{most}")
            with self.honest_beside(service, token=self.local), self.honest_beside(service, token=self.local, connects=True):
                with Held(service.addresses[0], self.greedy, most) as held:
                    for _ in attack_rounds():
                        time.sleep(0.1)
            print(f"{held.opened} connections of the attacker")


class Held(AttackThreads):
    """Keeps so many connections, over each of which a duty was asked for that nobody signs; one that the service closes is renewed."""

    def __init__(self, address, token, most):
        super().__init__([0])
        self.address, self.token, self.most, self.opened = address, token, most, 0

    def ask(self, slot):
        body = json.dumps(sign_request(slot=slot, validator=GREEDY))
        sock = connect(self.address)
        self.opened += 1
        try:
            sock.sendall((f"POST /api/v1/sign HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {self.token}\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        except OSError:
            pass
        sock.setblocking(False)
        return sock

    @staticmethod
    def waits(sock):
        try:
            sock.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            pass
        sock.close()
        return False

    def attack(self, _):
        socks = []
        while not self.over.is_set():
            try:
                while len(socks) < self.most and not self.over.is_set():
                    socks.append(self.ask(500_000 + self.opened % 50_000))
            except OSError:
                pass
            socks = [sock for sock in socks if self.waits(sock)]
        for sock in socks:
            sock.close()


if __name__ == "__main__":
    attack_support.main()
