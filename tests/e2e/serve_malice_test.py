#!/usr/bin/env python3
"""Requests that no honest client sends: two lengths, broken chunks, deep JSON, wrong UTF-8, slow and huge requests, too many connections."""

import json
import re
import socket
import time
import unittest

import e2e_support as e2e
from e2e_support import ADDRESS
from service_support import Service, context_of, sign_request

LINES = "POST /api/v1/sign HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def read_all(sock):
    """Reads until the service closes."""
    text = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return text.decode("latin-1")
        if not piece:
            return text.decode("latin-1")
        text += piece


def answers(text):
    """Counts the answers in the bytes of a service."""
    return len(re.findall(r"HTTP/1\.1 \d{3} ", text))


class MaliceTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.service = Service(cls.folder.path, "--max-body-bytes", "65536", "--max-duties-per-request", "10", "--header-timeout-ms", "300", "--body-timeout-ms", "300",
                              "--idle-timeout-ms", "20000", "--max-connections", "50")

    @classmethod
    def tearDownClass(cls):
        # After every test the service still works and ends well.
        assert cls.service.get("/upcheck").text == "OK"
        assert cls.service.stop() == 0
        cls.folder.remove()

    def send(self, text):
        """Sends bytes and returns all bytes of the service."""
        with self.service.raw() as sock:
            sock.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))
            return read_all(sock)

    def refused(self, text, status):
        answer = self.send(text)
        self.assertTrue(answer.startswith(f"HTTP/1.1 {status} "), answer[:300])
        self.assertEqual(answers(answer), 1, "the connection must end after an error")
        return answer

    def duties(self):
        return self.service.get("/api/v1/duties").json["duties"]

    def test_two_readers_cannot_read_two_requests_from_one(self):
        body = json.dumps(sign_request(slot=1))
        length = f"Content-Length: {len(body)}\r\n"
        chunked = "Transfer-Encoding: chunked\r\n"
        smuggled = "0\r\n\r\nPOST /api/v1/sign HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for headers, rest in ((length + chunked, smuggled), (chunked + length, smuggled), (length + length, body), (length + "Content-Length: 0\r\n", body),
                              ("Content-Length: 5, 5\r\n", "12345"), ("Content-Length: +5\r\n", "12345"), ("Content-Length: 0x5\r\n", "12345"),
                              ("Content-Length: -1\r\n", ""), ("Content-Length: \r\n", ""), ("Content-Length: 99999999999999999999999\r\n", ""),
                              (chunked + chunked, smuggled), ("Transfer-Encoding : chunked\r\n", smuggled), ("Transfer-Encoding:\x0bchunked\r\n", smuggled),
                              ("Host: y\r\n" + length, body), ("Content-Length: 1\r\n Content-Length: 2\r\n", "12")):
            answer = self.send(LINES + headers + "\r\n" + rest)
            self.assertRegex(answer[:13], "HTTP/1.1 (400|501|413)", headers)
            self.assertEqual(answers(answer), 1, headers)
        for coding in ("gzip", "gzip, chunked", "identity", "chunked, identity", "xchunked"):
            self.refused(LINES + f"Transfer-Encoding: {coding}\r\n\r\n{smuggled}", 501)
        self.refused(LINES.replace("1.1", "1.0") + chunked + "\r\n" + smuggled, 400)
        self.assertEqual([duty for duty in self.duties() if duty["slot"] == "1"], [])

    def test_broken_chunks_are_not_a_request(self):
        for rest in ("g\r\n", "5\r\nabcdefgh\r\n0\r\n\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "5\nabcde\n0\n\n", "\r\n\r\n", "5;" + "x" * 20_000 + "\r\n"):
            answer = self.send(LINES + "Transfer-Encoding: chunked\r\n\r\n" + rest)
            self.assertRegex(answer[:13], "^$|HTTP/1.1 (400|408|413|431)", rest[:40])

    def test_chunks_that_are_right_are_a_request_and_connections_are_kept(self):
        body = json.dumps(sign_request(slot=40))
        half = len(body) // 2
        chunks = f"{half:x}\r\n{body[:half]}\r\n{len(body) - half:x}\r\n{body[half:]}\r\n0\r\n\r\n"
        with self.service.raw() as sock:
            # Three requests in one write: an answer to each, in the same order.
            sock.sendall((LINES + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n"
                          "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").encode())
            answer = read_all(sock)
        self.assertEqual((answers(answer), answer.count("HTTP/1.1 200 OK")), (3, 3))
        self.assertLess(answer.index("signature"), answer.index("\r\n\r\nOK"))

    def test_what_is_not_http_is_refused(self):
        for text in ("\x00\x01\x02\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET /x HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
                     "GET / HTTP/1.1\r\nHost: localhost\r\nA: \x01\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 100):
            answer = self.send(text)
            self.assertRegex(answer[:13], "^$|HTTP/1.1 (400|505|408)", text[:40])
        self.refused("GET /upcheck HTTP/1.1\r\n\r\n", 400)

    def test_headers_are_bounded(self):
        self.refused("GET /upcheck HTTP/1.1\r\nHost: localhost\r\nA: " + "a" * 20_000 + "\r\n\r\n", 431)
        self.refused("GET /" + "a" * 20_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431)
        self.refused("GET /upcheck HTTP/1.1\r\nHost: localhost\r\n" + "A: b\r\n" * 5_000 + "\r\n", 431)

    def test_what_chunks_bring_beside_the_body_is_bounded(self):
        chunked = LINES + "Transfer-Encoding: chunked\r\n\r\n"
        self.refused(chunked + "2;" + "x" * 200_000, 431)
        self.refused(chunked + "2\r\n{}\r\n0\r\n" + "A: b\r\n" * 40_000, 431)

    def test_bodies_are_bounded_before_they_are_read(self):
        self.refused(LINES + "Content-Length: 65537\r\n\r\n", 413)
        self.refused(LINES + "Transfer-Encoding: chunked\r\n\r\n" + "10000\r\n" + "a" * 0x10000 + "\r\n" + "1\r\na\r\n", 413)
        # The service does not wait for the body of a client without the right.
        self.refused(LINES.replace("/api/v1/sign", "/nothing") + "Content-Length: 60000\r\n\r\n", 404)
        self.refused(LINES.replace("application/json", "text/html") + "Content-Length: 60000\r\n\r\n", 415)

    def test_numbers_of_duties_are_bounded(self):
        many = self.service.post("/api/v1/sign", {"duties": [sign_request(slot=2)] * 11})
        self.assertEqual((many.status, many.kind), (413, "too_large"))
        calls = [{"jsonrpc": "2.0", "id": i, "method": "eth_accounts"} for i in range(11)]
        self.assertEqual(self.service.post("/", calls).status, 413)
        self.assertEqual(self.service.post("/", []).status, 400)
        self.assertEqual(self.service.post("/api/v1/sign", {"duties": []}).json, {"results": []})

    def test_json_that_is_deep_broken_or_no_utf8_is_refused(self):
        for body in ("[" * 60_000, '{"a":' * 10_000, '{"validator":"' + ADDRESS, "", " ", "null", "nul", "[]", '{"validator":1}', '{"duties":{}}', '{"duties":[[]]}',
                     '{"validator":"a","validator":"b"}', b'{"validator":"\xff\xfe"}', b"\xef\xbb\xbf{}", '{"a":"\x01"}', '{"a":NaN}', '{"a":1e999999}',
                     json.dumps(sign_request()) + "{}", '{"validator":"\\ud800"}', b"\x00"):
            for path in ("/api/v1/sign", "/", "/api/v1/duties/claim", "/api/v1/duties/record", "/api/v1/duties/release"):
                answer = self.service.post(path, body)
                many = answer.status == 200 and path != "/" and "results" in answer.json
                if not many and not (path == "/" and answer.status == 200 and "error" in answer.json):
                    self.assertEqual(answer.status, 400, (path, body[:40], answer.text))
        for value in ("0x", ADDRESS[:-1], ADDRESS + "0", 5, None, [], {}, "0x" + "zz" * 20):
            answer = self.service.post("/api/v1/sign", sign_request() | {"validator": value})
            self.assertEqual(answer.status, 400, value)
        for message in ("", "ab", "0xa", "0xzz", 5, None, "0x" + "é"):
            answer = self.service.post("/api/v1/sign", sign_request() | {"message": message})
            self.assertEqual(answer.status, 400, message)
        self.assertEqual([duty for duty in self.duties() if duty["slot"] == "5"], [])

    def test_a_request_that_comes_slowly_is_ended(self):
        with self.service.raw() as sock:
            began = time.monotonic()
            # One byte at a time without end: the bound is on the whole header, not on the pause.
            try:
                for byte in "GET /upcheck HTTP/1.1\r\nHost: localhost\r\nA: " + "a" * 1_000:
                    sock.sendall(byte.encode())
                    sock.settimeout(0.02)
                    try:
                        if sock.recv(4096):
                            break
                    except TimeoutError:
                        pass
            except OSError:
                pass
            self.assertLess(time.monotonic() - began, 10)
        with self.service.raw() as sock:
            sock.sendall((LINES + "Content-Length: 100\r\n\r\n{").encode())
            self.assertTrue(read_all(sock).startswith("HTTP/1.1 408 "))
        with self.service.raw() as sock:
            sock.sendall(b"GET /upcheck HT")
            self.assertTrue(read_all(sock).startswith("HTTP/1.1 408 "))

    def test_a_client_that_goes_away_in_the_middle_does_not_disturb_others(self):
        for cut in (1, 30, len(LINES) + 20, len(LINES) + 60):
            body = json.dumps(sign_request(slot=60))
            text = (LINES + f"Content-Length: {len(body)}\r\n\r\n{body}")[:cut]
            with self.service.raw() as sock:
                sock.sendall(text.encode())
        self.assertEqual([duty for duty in self.duties() if duty["slot"] == "60"], [])
        # A client that is gone before its answer comes: the duty is signed once, and a second request gets the signature.
        body = json.dumps(sign_request(slot=61))
        with self.service.raw() as sock:
            sock.sendall((LINES + f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        while not [duty for duty in self.duties() if duty["slot"] == "61" and duty["status"] == "signed"]:
            pass
        again = self.service.sign(slot=61)
        self.assertEqual((again.status, again.kind), (409, "duty_already_signed"))
        self.assertTrue(again.json["signature"])

    def test_connections_are_bounded_and_can_be_used_again(self):
        service = Service(self.folder.path, "--max-connections", "5", name="small")
        self.addCleanup(service.stop)
        connections = []
        try:
            refusal = None
            for _ in range(10):
                sock = service.raw()
                connections.append(sock)
                # An answer that goes on keeps its connection; one that waits for its client would go for the next.
                sock.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = sock.recv(4096).decode()
                if answer.startswith("HTTP/1.1 429"):
                    refusal = answer
                    break
            self.assertIsNotNone(refusal)
            self.assertIn("Retry-After", refusal)
            # One client alone has three quarters of the places.
            self.assertEqual(len(connections), 5)
            self.assertIn("1152 from one address (three quarters of --max-connections-per-address), and 4 in all (three quarters of --max-connections)", refusal)
        finally:
            for sock in connections:
                sock.close()
        while True:
            with service.raw() as sock:
                sock.sendall(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if read_all(sock).startswith("HTTP/1.1 200"):
                    break

    def test_a_connection_that_waits_for_its_client_goes_for_a_new_one(self):
        # Ten go for ten new ones; two more where connections of earlier tests are not closed yet.
        connections = [self.service.raw() for _ in range(60)]
        try:
            for index, sock in enumerate(connections):
                sock.sendall((LINES + "Content-Length: 100\r\n\r\n{").encode() if index < 12 else b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers = []
            for sock in connections:
                try:
                    answers.append(sock.recv(4096)[:12])
                except ConnectionResetError:
                    answers.append(b"")
            self.assertEqual(answers[-48:], [b"HTTP/1.1 200"] * 48)
        finally:
            for sock in connections:
                sock.close()

    def test_expect_continue_is_answered(self):
        body = json.dumps(sign_request(slot=80))
        with self.service.raw() as sock:
            sock.sendall((LINES + f"Expect: 100-continue\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n").encode())
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 100 "))
            sock.sendall(body.encode())
            self.assertTrue(read_all(sock).startswith("HTTP/1.1 200 "))


if __name__ == "__main__":
    e2e.main()
