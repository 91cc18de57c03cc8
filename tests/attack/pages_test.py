#!/usr/bin/env python3
"""Web pages, and clients that look at what is not theirs: names of hosts, validators of others, all streams of events."""

import time

import attack_support
import e2e_support as e2e
from attack_support import AttackCase, connect
from service_support import key_of

OTHER = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"  # private key 2


class PageTests(AttackCase):
    """Without a clients file any process of this machine is a client, a browser too."""

    @classmethod
    def setUpClass(cls):
        cls.folder_of_all = e2e.Folder()
        cls.path = f"unix:{cls.folder_of_all.path}/socket"
        cls.shared = attack_support.Service(cls.folder_of_all.path, "--allowed-hosts", "signer.example,192.0.2.7", listen=f"127.0.0.1:0,{cls.path}")

    @classmethod
    def tearDownClass(cls):
        assert cls.shared.stop() == 0
        cls.folder_of_all.remove()

    def ask(self, headers, method="GET", path="/api/v1/duties", address=None):
        return self.shared.request(method, path, headers=headers, address=address, body="{}" if method == "POST" else None)

    def test_a_name_that_was_bound_to_this_machine_is_refused(self):
        port = self.shared.addresses[0].rsplit(":", 1)[1]
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "signer.example.evil", "0.0.0.0"):
            for method, path in (("GET", "/api/v1/duties"), ("POST", "/"), ("POST", "/api/v1/sign"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/openapi.json")):
                answer = self.ask({"Host": host}, method, path)
                self.assertEqual((answer.status, answer.kind), (403, "forbidden"), (host, path))
                self.assertIn("--allowed-hosts", answer.json["detail"])
        for host in ("localhost", f"127.0.0.1:{port}", "[::1]", "LOCALHOST:1", "signer.example", "192.0.2.7:80"):
            self.assertEqual(self.ask({"Host": host}).status, 200, host)

    def test_a_target_in_absolute_form_counts_as_the_host(self):
        for target, host, status in (("http://evil.example/api/v1/duties", "localhost", 403), ("http://localhost/api/v1/duties", "localhost", 200),
                                     ("http://evil.example/api/v1/duties", "other.example", 403), ("http://localhost/api/v1/duties", "evil.example", 200)):
            self.assertEqual(self.status_of(target, host), status, (target, host))

    def test_what_clients_send_to_a_proxy_only_is_not_from_a_page(self):
        # RFC 9112, 3.2.2: a server must accept the absolute form. Browsers send it to their proxy, with the same Host.
        self.assertEqual(self.status_of("http://signer.internal:9000/api/v1/duties", "Signer.internal:9000"), 200)
        self.assertEqual(self.status_of("http://signer.internal:9000/api/v1/duties", "signer.internal:9000", "Origin: http://signer.internal:9000\r\n"), 403)

    def status_of(self, target, host, headers=""):
        with connect(self.shared.addresses[0]) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode())
            return int(sock.recv(4096).split()[1])

    def test_a_unix_socket_takes_any_host(self):
        self.assertEqual(self.ask({"Host": "whatever"}, address=self.path).status, 200)

    def test_what_a_browser_sends_for_a_page_is_refused(self):
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost"}, {"Origin": "null"}):
            for method, path in (("GET", "/api/v1/duties"), ("POST", "/"), ("GET", "/upcheck")):
                self.assertEqual(self.ask(headers, method, path).status, 403, headers)
        for site in ("none", "same-origin"):
            self.assertEqual(self.ask({"Sec-Fetch-Site": site}).status, 200, site)


class ReadingTests(AttackCase):
    def setUp(self):
        super().setUp()
        all_line, self.all = self.client("all", "sign,read")
        one_line, self.one = self.client("one", "sign,read", f"validators={e2e.ADDRESS.lower()}")
        self.lines = all_line + one_line

    def check_reading(self, service, database=None):
        for validator, slot in ((e2e.ADDRESS, 5), (OTHER, 6), (OTHER, 7)):
            self.assertEqual(service.sign(slot=slot, validator=validator, token=self.all).status, 200)
        for more, seen in (("", ["5"]), ("&status=signed", ["5"]), ("&limit=1", ["5"]), (f"&validator={e2e.ADDRESS}", ["5"]), ("&status=signing", [])):
            duties = service.get("/api/v1/duties?" + more.removeprefix("&"), token=self.one).json["duties"]
            self.assertEqual([duty["slot"] for duty in duties], seen, more)
        refused = service.get(f"/api/v1/duties?validator={OTHER}", token=self.one)
        self.assertEqual((refused.status, refused.kind), (403, "forbidden"))
        self.assertEqual(len(service.get("/api/v1/duties", token=self.all).json["duties"]), 3)

    def watch(self, service, token):
        connection = service.connection()
        connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        self.addCleanup(connection.close)
        return response

    @staticmethod
    def read_until(response, text):
        seen = b""
        while text not in seen:
            piece = response.readline()
            assert piece, seen
            seen += piece
        return seen

    def test_duties_and_events_of_other_validators_are_not_shown(self):
        service = self.serve(clients=self.lines, keys=[key_of(1), key_of(2)])
        mine, everything = self.watch(service, self.one), self.watch(service, self.all)
        for stream in (mine, everything):
            self.read_until(stream, b"event: watching")
        self.check_reading(service)
        self.assertIn(OTHER.encode(), self.read_until(everything, b'"slot":"7"'))
        # The reading that finds slot 8 finds the others' duties too, and has been told whole when slot 9 comes.
        for slot in (8, 9):
            self.assertEqual(service.sign(slot=slot, token=self.one).status, 200)
            self.assertNotIn(OTHER.encode(), self.read_until(mine, f'"slot":"{slot}"'.encode()))

    def test_duties_and_watermarks_of_other_validators_are_not_shown_on_postgresql(self):
        database = e2e.postgres().new_database()
        for validator in (e2e.ADDRESS, OTHER):
            done = e2e.run("watermark", "set", "--database-url", database, "--rollup", e2e.ROLLUP, "--validator", validator, "--duty-type", "ATTESTATION", "--low", "1", "--yes")
            self.assertEqual(done.returncode, 0, done.stderr)
        service = self.serve(clients=self.lines, keys=[key_of(1), key_of(2)], database=database)
        self.check_reading(service)
        self.assertEqual([mark["validator"] for mark in service.get("/api/v1/watermarks", token=self.one).json["watermarks"]], [e2e.ADDRESS.lower()])
        self.assertEqual(len(service.get("/api/v1/watermarks", token=self.all).json["watermarks"]), 2)

    def test_one_client_does_not_get_all_streams_of_events(self):
        service = self.serve(clients=self.lines)
        streams = [self.watch(service, self.one) for _ in range(40)]
        statuses = [stream.status for stream in streams]
        self.assertEqual(statuses, sorted(statuses))
        self.assertGreaterEqual(statuses.count(200), 8)
        self.assertEqual(set(statuses), {200, 429})
        other = self.watch(service, self.all)
        self.assertEqual(other.status, 200)
        self.read_until(other, b"event: watching")

    def test_readiness_without_a_token_names_no_host_and_no_database(self):
        database = e2e.postgres().new_database()
        name, host, port = database.rsplit("/", 1)[1], "127.0.0.1", str(e2e.postgres().port)
        service = self.serve(clients=self.lines, database=database)
        try:
            self.assertNotIn("replication", service.get("/readyz").json)
            self.assertIn("replication", service.get("/readyz", token=self.all).json)
            e2e.postgres().stop("immediate")
            while (answer := service.get("/readyz")).status == 200:
                time.sleep(0.1)
            for secret in (name, host, port, "postgres"):
                self.assertNotIn(secret, answer.text)
            self.assertIn("the log says why", answer.text)
            told = service.get("/readyz", token=self.all).text
            self.assertIn(port, told)
            self.assertIn(port, service.wait_for("not_ready")["reason"])
        finally:
            e2e.postgres().start()


if __name__ == "__main__":
    attack_support.main()
