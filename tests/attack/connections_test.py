#!/usr/bin/env python3
"""Connections without a token: silent ones, slow ones and halves of handshakes, renewed as soon as they are closed, refuse no client."""

import selectors
import socket
import ssl
import threading
import time

import attack_support
from attack_support import RANDOM, AttackCase, attack_rounds, connect
from serve_tls_test import Authority

CROWD = 1_536


class Crowd:
    """Holds so many connections on each address; each sends `beginnings`, one of them, and waits. A closed one is renewed at once."""

    def __init__(self, addresses, beginnings=(b"",), size=CROWD):
        self.addresses, self.beginnings, self.size = addresses, beginnings, size
        self.waiting = selectors.DefaultSelector()
        self.opened = 0
        self.over = False
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        for address in self.addresses:
            for _ in range(self.size):
                self._open(address)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        for key in list(self.waiting.get_map().values()):
            key.fileobj.close()
        self.waiting.close()

    def _open(self, address):
        try:
            sock = connect(address)
            self.opened += 1
            sock.sendall(RANDOM.choice(self.beginnings))
        except OSError:
            return
        sock.setblocking(False)
        self.waiting.register(sock, selectors.EVENT_READ, address)

    def _run(self):
        while not self.over:
            for key, _ in self.waiting.select(0.1):
                try:
                    if key.fileobj.recv(65536):
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                self.waiting.unregister(key.fileobj)
                key.fileobj.close()
                self._open(key.data)


class ConnectionTests(AttackCase):
    @classmethod
    def setUpClass(cls):
        attack_support.allow_many_files()

    def held(self, service, beginnings=(b"",), addresses=None, **honest):
        """Crowds as large as the service allows, beside an honest client that connects for each signature and one that keeps its connection."""
        with self.honest_beside(service, **honest), self.honest_beside(service, connects=True, **honest):
            with Crowd((addresses or service.addresses) * 2, beginnings) as crowd:
                for _ in attack_rounds():
                    time.sleep(0.05)
            print(f"{crowd.opened} connections of the attacker")

    def test_silent_connections_keep_no_client_out(self):
        line, token = self.client("honest", "sign")
        self.held(self.serve(clients=line), token=token)

    def test_slow_requests_keep_no_client_out(self):
        line, token = self.client("honest", "sign")
        self.held(self.serve(clients=line), (b"G", b"POST /api/v1/sign HTTP/1.1\r\nHost: localhost\r\n", b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n"), token=token)

    def test_connections_on_one_address_keep_no_client_out_of_another(self):
        line, token = self.client("honest", "sign")
        path = f"unix:{self.folder.path}/socket"
        service = self.serve(clients=line, listen=f"127.0.0.1:0,{path}")
        tcp = service.addresses[0]
        for attacked, honest in ((tcp, path), (path, path)):
            self.held(service, addresses=[attacked], address=honest, token=token)

    def test_silent_connections_and_halves_of_handshakes_keep_no_client_out_over_tls(self):
        authority = Authority(self.folder.path, "ours")
        certificate, key = authority.issue("server")
        certificates = {"authority": str(authority.certificate)}
        line, token = self.client("honest", "sign")
        service = self.serve("--tls-certificate", str(certificate), "--tls-key", str(key), clients=line)
        # The honest client comes from the attacker's address, so that it waits behind the handshakes of that address, a hundred or more:
        # on a busy machine each takes ten milliseconds.
        self.lowest_bar = 3.0
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
        with self.assertRaises(ssl.SSLWantReadError):
            hello.do_handshake()
        self.held(service, (b"", b"\x16", outgoing.read()), token=token, certificates=certificates)


class TimeTests(AttackCase):
    """How long a connection may do nothing before it has shown what it is."""

    def closed_after(self, service, beginning):
        with connect(service.addresses[0], timeout=20) as sock:
            sock.sendall(beginning)
            began = time.monotonic()
            while sock.recv(65536):
                pass
            return time.monotonic() - began

    def test_a_connection_that_does_not_show_what_it_is_ends_soon(self):
        service = self.serve()
        for beginning, most in ((b"", 5), (b"GET /up", 7)):
            self.assertLess(self.closed_after(service, beginning), most, beginning)

    def test_a_handshake_that_does_not_go_on_ends_soon(self):
        authority = Authority(self.folder.path, "ours")
        certificate, key = authority.issue("server")
        service = self.serve("--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.certificate))
        for beginning in (b"", b"\x16\x03\x01"):
            self.assertLess(self.closed_after(service, beginning), 5, beginning)


if __name__ == "__main__":
    attack_support.main()
