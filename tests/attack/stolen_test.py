#!/usr/bin/env python3
"""What a thief still has after the operator has done what docs/security.md says."""

import signal
import ssl

import attack_support
from attack_support import AttackCase
from serve_tls_test import Authority


class StolenTests(AttackCase):
    def reload(self, service):
        count = service.log().count('"reloaded"')
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("reloaded", count=count + 1)

    def test_a_certificate_of_an_authority_that_was_replaced_is_worth_nothing_over_open_connections_too(self):
        ours, other = Authority(self.folder.path, "ours"), Authority(self.folder.path, "other")
        certificate, key = ours.issue("server")
        stolen, stolen_key = ours.issue("node")
        authority = self.folder.path / "clients-ca.pem"
        authority.write_bytes(ours.certificate.read_bytes())
        line, token = self.client("with-token", "sign")
        service = self.serve("--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority),
                             clients=line + "node certificate:cn:node sign,read\n")
        context = ssl.create_default_context(cafile=str(ours.certificate))
        context.load_cert_chain(stolen, stolen_key)
        connection = service.connection(context=context)
        self.addCleanup(connection.close)
        self.assertEqual(service.sign(slot=1, connection=connection).status, 200)
        self.reload(service)
        self.assertEqual(service.sign(slot=2, connection=connection).status, 200, "a reload with the same authority changes nothing")
        authority.write_bytes(other.certificate.read_bytes())
        self.reload(service)
        self.assertEqual(service.sign(slot=3, connection=connection, token=token).status, 200)
        answer = service.sign(slot=4, connection=connection)
        self.assertEqual((answer.status, answer.kind), (401, "unauthorized"))

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
