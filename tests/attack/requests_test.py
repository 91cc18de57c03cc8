#!/usr/bin/env python3
"""Requests without a token, as many as eight hundred connections can send: each costs the thread that signs a little, and signing goes on beside them."""

import multiprocessing
import selectors
import socket
import time
from contextlib import contextmanager

import attack_support
from attack_support import AttackCase, attack_rounds, connect

SENDERS = 2
CONNECTIONS = 400  # of each sender
REQUESTS_AT_ONCE = 8

HEAD = "{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
ONE_LARGE_FIELD = HEAD.format(line="GET /upcheck", fields="X: " + "x" * 15_000 + "\r\n")
MANY_FIELDS = HEAD.format(line="GET /upcheck", fields="".join(f"{number:x}:\r\n" for number in range(2_500)))
UNKNOWN_TOKEN = HEAD.format(line="POST /api/v1/sign", fields="Authorization: Bearer " + "x" * 10_000 + "\r\nContent-Length: 0\r\n")
DOCUMENT = HEAD.format(line="GET /openapi.json", fields="")
# The body of a client that may do nothing, in the smallest pieces that there are.
SMALL_CHUNKS = HEAD.format(line="POST /{token}/", fields="Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") + "1\r\n \r\n" * 20_000 + "0\r\n\r\n"


def send(address, request, reads, over, sent):
    """Sends the request over and over, through many connections; one that the service closes is renewed."""
    attack_support.allow_many_files()
    text = (request * REQUESTS_AT_ONCE).encode()
    ready = selectors.EpollSelector()

    def begin():
        try:
            sock = connect(address)
        except OSError:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        sock.setblocking(False)
        ready.register(sock, selectors.EVENT_WRITE | (selectors.EVENT_READ if reads else 0), [0])

    for _ in range(CONNECTIONS):
        begin()
    count = 0
    while not over.is_set():
        for key, events in ready.select(0.1):
            sock, offset = key.fileobj, key.data
            try:
                if events & selectors.EVENT_READ and not sock.recv(1 << 20):
                    raise ConnectionResetError
                if events & selectors.EVENT_WRITE:
                    done = sock.send(text[offset[0]:])
                    offset[0] = (offset[0] + done) % len(text)
                    count += done
            except BlockingIOError:
                pass
            except OSError:
                ready.unregister(sock)
                sock.close()
                begin()
    with sent.get_lock():
        sent.value += count
    for key in list(ready.get_map().values()):
        key.fileobj.close()


class RequestTests(AttackCase):
    @classmethod
    def setUpClass(cls):
        attack_support.allow_many_files()

    def setUp(self):
        super().setUp()
        line, self.honest = self.client("honest", "sign")
        other, self.powerless = self.client("powerless", "read", "validators=0x" + "99" * 20)
        self.path = f"unix:{self.folder.path}/socket"
        self.service = self.serve(clients=line + other, listen=f"127.0.0.1:0,{self.path}")
        self.loopback = self.service.addresses[0]

    @contextmanager
    def flood(self, request, reads):
        over, sent = multiprocessing.Event(), multiprocessing.Value("q", 0)
        arguments = (self.loopback, request, reads, over, sent)
        senders = [multiprocessing.Process(target=send, args=arguments) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            over.set()
            for sender in senders:
                sender.join()
        print(f"{sent.value / len(request):.0f} requests of the attacker")
        self.assertGreater(sent.value, 100 * len(request))

    def attacked(self, request, reads=True):
        """Beside a client of the attacker's address that has a connection, and one of another address that connects for each signature."""
        with self.honest_beside(self.service, address=self.loopback, token=self.honest), \
                self.honest_beside(self.service, address=self.path, connects=True, token=self.honest):
            with self.flood(request, reads):
                for _ in attack_rounds():
                    time.sleep(0.05)

    def test_large_headers(self):
        for request in (ONE_LARGE_FIELD, MANY_FIELDS):
            self.attacked(request)

    def test_headers_that_are_refused(self):
        self.attacked(UNKNOWN_TOKEN)

    def test_large_answers(self):
        self.attacked(DOCUMENT)

    def test_answers_that_are_not_read(self):
        self.attacked(DOCUMENT, reads=False)

    def test_bodies_in_small_chunks_of_a_client_without_the_right_to_sign(self):
        self.attacked(SMALL_CHUNKS.format(token=self.powerless))


if __name__ == "__main__":
    attack_support.main()
