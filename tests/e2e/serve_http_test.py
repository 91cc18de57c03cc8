#!/usr/bin/env python3
"""HTTP/1.1 as clients, proxies and load balancers speak it: targets, Host, codings, expectations, kept connections."""

import gzip
import json
import re
import unittest

import e2e_support as e2e
from e2e_support import ADDRESS
from service_support import Service, sign_request

ACCOUNTS = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_accounts", "params": []})


def post(target="/", body=ACCOUNTS, headers="", version="1.1", host="Host: localhost\r\n"):
    return (f"POST {target} HTTP/{version}\r\n{host}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}").encode("latin-1")


def get(target="/upcheck", headers="", version="1.1", host="Host: localhost\r\n", method="GET"):
    return f"{method} {target} HTTP/{version}\r\n{host}{headers}\r\n".encode("latin-1")


class Answer:
    def __init__(self, head, body):
        self.head, self.body = head, body
        self.status = int(re.match(r"HTTP/1\.1 (\d{3}) ", head)[1])

    def field(self, name):
        found = re.search(rf"^{name}: (.*)$", self.head, re.MULTILINE | re.IGNORECASE)
        return found and found[1].strip()


class HttpTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.service = Service(cls.folder.path, "--body-timeout-ms", "2000", "--header-timeout-ms", "2000")

    @classmethod
    def tearDownClass(cls):
        assert cls.service.stop() == 0
        cls.folder.remove()

    def ask(self, *requests):
        """Sends requests on one connection, each after the answer to the one before, and returns the answers; None where the service closed."""
        answers = []
        with self.service.raw() as sock:
            sock.settimeout(10)
            text = b""
            for request in requests:
                try:
                    sock.sendall(request)
                    while b"\r\n\r\n" not in text:
                        piece = sock.recv(65536)
                        if not piece:
                            raise ConnectionResetError
                        text += piece
                except (ConnectionResetError, BrokenPipeError):
                    answers.append(None)
                    continue
                head, text = text.split(b"\r\n\r\n", 1)
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                wanted = int(length[1]) if length and not request.startswith(b"HEAD") else 0
                while len(text) < wanted:
                    text += sock.recv(65536)
                answers.append(Answer(head.decode(), text[:wanted].decode()))
                text = text[wanted:]
        return answers

    def one(self, request):
        return self.ask(request)[0]

    def test_a_target_in_absolute_form_is_its_path(self):
        # RFC 9112, 3.2.2: a server must accept it, and its authority stands for Host.
        for target, status in (("http://localhost:9000/upcheck", 200), ("HTTP://localhost/upcheck", 200), ("https://localhost:9000/upcheck?a=b", 200),
                               ("http://[::1]:9000/upcheck", 200), ("http://localhost/nowhere", 404), ("http://localhost", 405), ("http://localhost?x", 405)):
            self.assertEqual(self.one(get(target)).status, status, target)
        for target in ("http://localhost:9000/", "http://localhost:9000", "http://localhost?"):
            answer = self.one(post(target))
            self.assertEqual(answer.status, 200, target)
            self.assertIn(ADDRESS.lower(), answer.body.lower())
        answer = self.one(post("http://localhost/api/v1/sign", json.dumps(sign_request(slot=7))))
        self.assertEqual((answer.status, "signature" in answer.body), (200, True))

    def test_other_targets_are_refused(self):
        for target in ("http:///upcheck", "http://user@signer/upcheck", "ftp://signer/upcheck", "upcheck", "*", "signer:9000", "http://sig<ner/upcheck",
                       "http://localhost#x/upcheck"):
            self.assertEqual(self.one(get(target)).status, 400, target)
        self.assertEqual(self.one(get("signer:9000", method="CONNECT")).status, 400)

    def test_options_asks_for_the_service_or_for_a_path(self):
        answer = self.one(get("*", method="OPTIONS"))
        self.assertEqual((answer.status, answer.field("Allow")), (204, "GET, HEAD, POST, OPTIONS"))
        answer = self.one(get("/upcheck", method="OPTIONS"))
        self.assertEqual((answer.status, answer.field("Allow")), (405, "GET, HEAD"))

    def test_host_is_one_host(self):
        # RFC 9112, 3.2: none, several or a wrong one are answered with 400.
        for host in ("Host: localhost\r\n", "Host:localhost:9000\r\n", "Host: \t[::1]:9000 \r\n", "host:\r\n"):
            self.assertEqual(self.one(get(host=host)).status, 200, host)
        for host in ("", "Host: a\r\nHost: a\r\n", "Host: a, b\r\n", "Host: a/b\r\n", "Host: u@a\r\n", "Host: http://a\r\n"):
            self.assertEqual(self.one(get(host=host)).status, 400, host)
        self.assertEqual(self.one(get(version="1.0", host="")).status, 200)
        self.assertEqual(self.one(get(version="1.0", host="Host: a\r\nHost: a\r\n")).status, 400)

    def test_a_compressed_body_is_refused_as_such(self):
        packed = gzip.compress(ACCOUNTS.encode()).decode("latin-1")
        for coding in ("gzip", "br", "gzip, identity", "x", "identity\r\nContent-Encoding: gzip"):
            answer = self.one(post(body=packed, headers=f"Content-Encoding: {coding}\r\n"))
            self.assertEqual(answer.status, 415, coding)
            self.assertIn("Content-Encoding", json.loads(answer.body)["detail"])
        for coding in ("identity", "Identity", ""):
            self.assertEqual(self.one(post(headers=f"Content-Encoding: {coding}\r\n")).status, 200, coding)

    def test_expectations(self):
        # RFC 9110, 10.1.1: the interim answer comes first, but never to HTTP/1.0; other expectations fail.
        answer = self.one(post(headers="Expect: 100-continue\r\n"))
        self.assertEqual(answer.status, 100)
        answer = self.one(post(headers="Expect: 100-Continue\r\n", version="1.0"))
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.one(post(headers="Expect: a-miracle\r\n")).status, 417)

    def test_connections_are_kept_and_closed_as_both_versions_say(self):
        self.assertEqual([answer and answer.status for answer in self.ask(get(), get())], [200, 200])
        for headers in ("Connection: close\r\n", "Connection: Keep-Alive, Close\r\n", "Connection: x\r\nConnection: close\r\n"):
            answers = self.ask(get(headers=headers), get())
            self.assertEqual((answers[0].status, answers[0].field("Connection"), answers[1]), (200, "close", None), headers)
        first, second = self.ask(get(version="1.0"), get(version="1.0"))
        self.assertEqual((first.field("Connection"), second), ("close", None))
        answers = self.ask(*[get(version="1.0", headers="Connection: keep-alive\r\n")] * 2)
        self.assertEqual([(answer.status, answer.field("Connection")) for answer in answers], [(200, "keep-alive")] * 2)

    def test_an_empty_line_before_a_request_is_skipped(self):
        # RFC 9112, 2.2.
        self.assertEqual([answer.status for answer in self.ask(b"\r\n" + get(), post() + b"\r\n", get())], [200, 200, 200])

    def test_white_space_in_headers(self):
        # RFC 9112, 5: round a value it is not part of it; before the colon it is refused; a folded line is one value or refused.
        self.assertEqual(self.one(post(headers="Content-Encoding: \t identity \t \r\n")).status, 200)
        self.assertEqual(self.one(get(headers="A : b\r\n")).status, 400)
        self.assertIn(self.one(get(headers="A: b\r\n c\r\n")).status, (200, 400))
        for line in (" GET /upcheck HTTP/1.1", "GET  /upcheck HTTP/1.1", "GET /upcheck  HTTP/1.1", "GET /upcheck HTTP/1.1 "):
            self.assertIn(self.one(f"{line}\r\nHost: localhost\r\n\r\n".encode()).status, (400, 505), line)

    def test_other_versions(self):
        for version, status in (("1.1", 200), ("1.0", 200), ("1.2", 505), ("2.0", 505), ("0.9", 505)):
            self.assertEqual(self.one(get(version=version)).status, status, version)

    def test_head_has_the_header_only(self):
        answers = self.ask(get(method="HEAD"), get("/nowhere", method="HEAD"), get())
        self.assertEqual([answer.status for answer in answers], [200, 404, 200])
        self.assertEqual(answers[2].body, "OK")


if __name__ == "__main__":
    e2e.main()
