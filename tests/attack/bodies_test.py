#!/usr/bin/env python3
"""Bodies that are declared and not sent, or sent and not ended, take no room from other clients."""

import threading
import time

import attack_support
from attack_support import RANDOM, AttackCase, AttackThreads, attack_rounds, connect, resident_bytes

MIB = 1024 * 1024
HEAD = "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n{length}\r\n\r\n"


class BodyTests(AttackCase):
    def setUp(self):
        super().setUp()
        honest, self.honest = self.client("honest", "sign")
        greedy, self.greedy = self.client("greedy", "sign,read")
        self.service = self.serve(clients=honest + greedy)

    def begin(self, sent, length=8 * MIB):
        """A request whose body does not end, and what the service says to it meanwhile."""
        sock = connect(self.service.addresses[0])
        head = HEAD.format(path=RANDOM.choice(("/", "/api/v1/sign")), token=self.greedy, length=f"Content-Length: {length}")
        sock.sendall(head.encode())
        try:
            sock.sendall(b" " * sent)
        except OSError:
            pass
        return sock

    def test_a_body_that_is_declared_takes_nothing(self):
        for token in (self.honest, self.greedy):
            with self.honest_beside(self.service, token=token, connects=True):
                for _ in attack_rounds():
                    socks = [self.begin(1) for _ in range(RANDOM.randrange(40, 200))]
                    for sock in socks:
                        sock.close()

    def test_a_body_of_unknown_length_takes_what_has_come(self):
        with self.honest_beside(self.service, token=self.honest):
            for _ in attack_rounds():
                socks = []
                for _ in range(RANDOM.randrange(40, 100)):
                    socks.append(connect(self.service.addresses[0]))
                    head = HEAD.format(path="/", token=self.greedy, length="Transfer-Encoding: chunked")
                    socks[-1].sendall(head.encode() + b"1\r\n \r\n")
                for sock in socks:
                    sock.close()

    def test_one_client_gets_half_of_the_memory_for_bodies_and_others_are_not_refused(self):
        before = resident_bytes(self.service)
        for token in (self.honest, self.greedy):
            socks = []
            with self.honest_beside(self.service, token=token):
                def send():
                    for _ in range(10):
                        socks.append(self.begin(8 * MIB - 1))
                senders = [threading.Thread(target=send) for _ in range(4)]
                for sender in senders:
                    sender.start()
                for sender in senders:
                    sender.join()
            held = resident_bytes(self.service) - before
            answers = []
            for sock in socks:
                sock.settimeout(20)
                try:
                    answers.append(sock.recv(65536)[:12])
                except OSError:
                    answers.append(b"")
                sock.close()
            self.assertIn(b"HTTP/1.1 429", answers)
            self.assertLess(held, 300 * MIB, "bodies of one client take more than their share")

    def test_the_memory_of_bodies_with_many_values_is_given_back(self):
        body = '{"duties":[' + ",".join(["[]"] * 499_000) + "]}"
        self.assertEqual(self.service.sign(slot=1, token=self.honest).status, 200)
        before = resident_bytes(self.service)
        with self.honest_beside(self.service, token=self.honest), Posts(self.service, self.greedy, body) as posts:
            for _ in attack_rounds():
                time.sleep(0.1)
        self.assertGreater(posts.refused, 0)
        until = time.monotonic() + 20
        while (after := resident_bytes(self.service)) > before + 30 * MIB and time.monotonic() < until:
            time.sleep(0.2)
        print(f"resident: {before // MIB} MiB before, {after // MIB} after")
        self.assertLess(after, before + 30 * MIB, "the memory of the bodies is not given back")


class Posts(AttackThreads):
    """Sends a body that has too many duties, over and over."""

    def __init__(self, service, token, body):
        super().__init__(range(8))
        self.service, self.token, self.body, self.refused = service, token, body, 0

    def attack(self, _):
        while not self.over.is_set():
            self.refused += self.service.post("/api/v1/sign", self.body, token=self.token, timeout=60).status == 413


if __name__ == "__main__":
    attack_support.main()
