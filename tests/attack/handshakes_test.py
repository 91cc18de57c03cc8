#!/usr/bin/env python3
"""TLS handshakes by the hundred, each of which costs the service more than its sender: signing goes on beside them, and new connections get through."""

import multiprocessing
import socket
import ssl
import time
from contextlib import contextmanager

import attack_support
from attack_support import AttackCase, HonestClient, attack_rounds, connect
from serve_tls_test import Authority

SENDERS = 2
AT_ONCE = 300
# The key of the usual size that costs a service most.
KEY = ("rsa:4096",)


def hello_bytes():
    """What a client sends first. The server answers it with a signature."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def flood(address, waits, over, opened):
    """Begins handshakes, many at once. With `waits` it lets the service answer them."""
    attack_support.allow_many_files()
    hello = hello_bytes()
    while not over.is_set():
        socks = []
        try:
            for _ in range(AT_ONCE):
                sock = connect(address)
                socks.append(sock)
                sock.sendall(hello)
            # The answer to the last one shows that the others are at work, or done.
            socks[-1].settimeout(5)
            if waits:
                socks[-1].recv(1)
        except OSError:
            pass
        with opened.get_lock():
            opened.value += len(socks)
        for sock in socks:
            sock.close()


def other_address():
    """An address of this machine that is not a loopback one; None where it has no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            # Sends nothing; an address for documentation.
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = sock.getsockname()[0]
    return None if address.startswith("127.") else address


class HandshakeTests(AttackCase):
    @classmethod
    def setUpClass(cls):
        attack_support.allow_many_files()

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder.path, "ours")
        self.other = other_address()
        names = "IP:127.0.0.1" + (f",IP:{self.other}" if self.other else "")
        self.certificate, self.key = self.authority.issue("server", kind=KEY, names=names)
        self.honest = {"certificates": {"authority": str(self.authority.certificate)}}
        line, self.honest["token"] = self.client("honest", "sign")
        self.path = f"unix:{self.folder.path}/socket"
        self.service = self.serve("--tls-certificate", str(self.certificate), "--tls-key", str(self.key), clients=line,
                                  listen=f"0.0.0.0:0,{self.path}")
        self.port = self.service.addresses[0].rsplit(":", 1)[1]
        self.loopback = f"127.0.0.1:{self.port}"

    @contextmanager
    def flood(self, waits):
        over, opened = multiprocessing.Event(), multiprocessing.Value("q", 0)
        senders = [multiprocessing.Process(target=flood, args=(self.loopback, waits, over, opened)) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            over.set()
            for sender in senders:
                sender.join()
        print(f"{opened.value} handshakes of the attacker")
        self.assertGreater(opened.value, 0)

    def test_a_flood_of_handshakes_does_not_stand_in_the_way_of_connections_that_are_there(self):
        for waits in (True, False):
            with self.honest_beside(self.service, address=self.loopback, **self.honest), \
                    self.honest_beside(self.service, address=self.path, connects=True, token=self.honest["token"]):
                with self.flood(waits):
                    for _ in attack_rounds():
                        time.sleep(0.05)

    def test_a_new_connection_of_another_address_gets_through(self):
        if not self.other:
            self.skipTest("this machine has loopback addresses only")
        with self.honest_beside(self.service, address=f"{self.other}:{self.port}", connects=True, **self.honest):
            with self.flood(waits=True):
                for _ in attack_rounds():
                    time.sleep(0.05)

    def test_a_new_connection_of_the_attackers_address_gets_through_when_it_tries_again(self):
        with self.flood(waits=True):
            new_client = HonestClient(self.service, address=self.loopback, connects=True, **self.honest)
            self.addCleanup(new_client.stop)
            began = time.monotonic()
            while sum(answer[2] == 200 for answer in new_client.answers()) < 3:
                self.assertLess(time.monotonic() - began, attack_support.LONGEST_WAIT, new_client.answers()[-3:])
                time.sleep(0.1)
        print(f"three answers after {time.monotonic() - began:.1f} s, and {sum(answer[2] != 200 for answer in new_client.answers())} refusals")


if __name__ == "__main__":
    attack_support.main()
