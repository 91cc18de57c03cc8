#!/usr/bin/env python3
"""What a thief still has after the operator has done what docs/security.md says."""

import signal
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor

import attack_support
import e2e_support as e2e
from attack_support import AttackCase
from serve_tls_test import Authority


class TableLock:
    """Holds a lock of the table of duties, for which changes of watermarks wait, in a `with` block."""

    def __init__(self, database):
        self.database = database

    def __enter__(self):
        self.session = subprocess.Popen([e2e.postgres().clients / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-d", self.database],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.session.stdin.write("begin; lock table validator_duties in row exclusive mode; select 'held';\n")
        self.session.stdin.flush()
        held = self.session.stdout.readline().strip()
        assert held == "held", held
        return self

    def __exit__(self, *_):
        self.session.communicate(timeout=30)


class StolenTests(AttackCase):
    def reload(self, service):
        count = service.log().count('"reloaded"')
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloaded", count=count + 1)

    def serve_with_certificates(self):
        """A service whose file of authorities names `ours`, and how a client with a certificate of it connects."""
        ours, other = Authority(self.folder.path, "ours"), Authority(self.folder.path, "other")
        certificate, key = ours.issue("server")
        stolen, stolen_key = ours.issue("node")
        authorities = self.folder.path / "clients-ca.pem"
        authorities.write_bytes(ours.certificate.read_bytes())
        line, token = self.client("with-token", "sign")
        service = self.serve("--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authorities),
                             clients=line + "node certificate:cn:node sign,read\n")
        context = ssl.create_default_context(cafile=str(ours.certificate))
        context.load_cert_chain(stolen, stolen_key)

        def connect():
            connection = service.connection(context=context)
            self.addCleanup(connection.close)
            return connection

        def trust(*texts):
            authorities.write_bytes(b"".join(texts))
            self.reload(service)

        return service, token, connect, trust, ours.certificate.read_bytes(), other.certificate.read_bytes()

    def test_a_certificate_of_an_authority_that_was_replaced_is_worth_nothing_over_open_connections_too(self):
        service, token, connect, trust, ours, other = self.serve_with_certificates()
        connection, with_token = connect(), connect()
        for number, one in enumerate((connection, with_token)):
            self.assertEqual(service.sign(slot=number + 1, connection=one).status, 200)
        trust(ours)
        self.assertEqual(service.sign(slot=3, connection=connection).status, 200, "a reload with the same authority changes nothing")
        trust(other)
        self.assertEqual(service.sign(slot=4, connection=with_token, token=token).status, 200)
        answer = service.sign(slot=5, connection=connection)
        self.assertEqual((answer.status, answer.kind), (401, "unauthorized"))

    def test_a_change_of_authorities_keeps_no_client_out_that_is_still_trusted(self):
        service, _, connect, trust, ours, other = self.serve_with_certificates()
        connection = connect()
        self.assertEqual(service.get("/api/v1/duties", connection=connection).status, 200)
        sock = connection.sock
        for texts in ((b"# ours\n", ours), (other, ours)):
            trust(*texts)
            self.assertEqual(service.get("/api/v1/duties", connection=connection).status, 200)
        self.assertIs(connection.sock, sock, "nothing that it relies on was taken away")
        late = connect()
        self.assertEqual(service.get("/api/v1/duties", connection=late).status, 200)
        trust(ours)
        # The certificate may have come from the one that was taken away: the next handshake tells.
        answer = service.get("/api/v1/duties", connection=late)
        self.assertEqual((answer.status, answer.headers.get("connection")), (401, "close"))
        self.assertIn("connect again", answer.json["detail"])
        self.assertEqual(service.get("/api/v1/duties", connection=late).status, 200)

    def test_changes_of_watermarks_that_wait_end_with_the_line_of_their_client(self):
        database = e2e.postgres().new_database()
        thief, stolen = self.client("thief", "operate")
        person, token = self.client("person", "read")
        service = self.serve(clients=thief + person, database=database)

        def change(low):
            return service.post("/api/v1/watermarks", {"validator": e2e.ADDRESS, "dutyType": "ATTESTATION", "low": low}, token=stolen)

        # The first change does not get the lock of the table, and takes so long that the pause after it has its full length.
        with TableLock(database):
            self.assertEqual(change(1).kind, "unavailable")
        with ThreadPoolExecutor(7) as senders:
            # One is in its pause, the others wait for their turn.
            answers = [senders.submit(change, 2 + number) for number in range(7)]
            while service.figure("ha_signer_http_requests_in_flight", token=token) < 8:
                pass
            service.write_clients(person)
            self.reload(service)
            self.assertEqual([(one.result().status, one.result().kind) for one in answers], [(401, "unauthorized")] * 7)
        self.assertEqual(service.get("/api/v1/watermarks", token=token).json["watermarks"], [])

    def test_a_token_in_the_wrong_place_of_a_request_is_not_in_the_log(self):
        line, token = self.client("person", "read")
        service = self.serve(clients=line)
        places = (f"{token} / HTTP/1.1", f"GET //{token}/readyz HTTP/1.1", f"GET /x/{token} HTTP/1.1", f"GET /{token.upper()} HTTP/1.1", f"GET {token} HTTP/1.1",
                  f"GET /{token}/nothing?{token} HTTP/1.1")
        for place in places:
            with service.raw() as sock:
                sock.sendall(f"{place}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                while sock.recv(4096):
                    pass
        service.wait_for("request", count=len(places))
        self.assertNotIn(token.removeprefix("hs_"), service.log().lower())

    def test_sessions_of_a_client_that_was_removed_do_not_come_back_with_its_line(self):
        line, token = self.client("person", "read")
        other, _ = self.client("other", "read")
        service = self.serve(clients=line + other)
        opened = service.request("POST", "/console/session", token=token)
        secrets = {"Cookie": opened.headers["set-cookie"].split(";")[0], "X-HA-Signer-Console": opened.json["key"]}
        self.assertEqual(service.get("/api/v1/duties", headers=secrets).status, 200)
        for lines in (other, line + other):
            service.write_clients(lines)
            self.reload(service)
            self.assertEqual(service.get("/api/v1/duties", headers=secrets).status, 401)
        self.assertEqual(service.get("/api/v1/duties", token=token).status, 200)


if __name__ == "__main__":
    attack_support.main()
