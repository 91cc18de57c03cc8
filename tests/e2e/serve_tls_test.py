#!/usr/bin/env python3
"""The signing service over TLS: its certificate, certificates of clients, and wrong ones of either."""

import json
import shutil
import socket
import ssl
import subprocess
import unittest

import e2e_support as e2e
from e2e_support import ADDRESS
from service_support import Service


class Authority:
    """An authority that openssl makes, and certificates from it."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key, self.certificate = folder / f"{name}.key", folder / f"{name}.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days", "2",
                      "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, *, expired=False, days=2, kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), names="IP:127.0.0.1"):
        key, request, certificate = (self.folder / f"{self.name}-{name}.{end}" for end in ("key", "csr", "pem"))
        self._openssl("req", "-newkey", *kind, "-nodes", "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", request)
        time = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"] if expired else ["-days", str(days)]
        if expired:
            self._expired(request, certificate)
        else:
            self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-copy_extensions", "copy",
                          *time, "-out", certificate)
        key.chmod(0o600)
        return certificate, key

    def _expired(self, request, certificate):
        """Uses `openssl ca`, which takes dates."""
        home = self.folder / f"{self.name}-ca"
        home.mkdir(exist_ok=True)
        (home / "index.txt").write_text("")
        (home / "serial").write_text("1000\n")
        (home / "config").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={home}/index.txt\nserial={home}/serial\nnew_certs_dir={home}\ndefault_md=sha256\n"
                                     "policy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-config", home / "config", "-in", request, "-cert", self.certificate, "-keyfile", self.key, "-startdate",
                      "200101000000Z", "-enddate", "200102000000Z", "-out", certificate, "-notext")

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


class TlsTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.authority = Authority(cls.folder.path, "ours")
        cls.foreign = Authority(cls.folder.path, "foreign")
        cls.certificate, cls.key = cls.authority.issue("server")

    @classmethod
    def tearDownClass(cls):
        cls.folder.remove()

    def trusting(self, authority=None, client=None):
        context = ssl.create_default_context(cafile=str((authority or self.authority).certificate))
        if client:
            context.load_cert_chain(*map(str, client))
        return context

    def serve(self, *arguments, clients, certificate=None, key=None, wait=True, listen="127.0.0.1:0"):
        service = Service(self.folder.path, "--tls-certificate", str(certificate or self.certificate), "--tls-key", str(key or self.key), *arguments,
                          name=self.id().rsplit(".", 1)[1], clients=clients, tls=self.trusting(), wait=wait, listen=listen)
        self.addCleanup(service.stop)
        return service

    def token(self, rights="sign,read,operate"):
        made = json.loads(e2e.run("token", "--rights", rights, "--json").stdout)
        return made["token"], made["line"]

    def test_serves_those_who_show_a_token_over_tls(self):
        token, line = self.token()
        service = self.serve(clients=line, listen="0.0.0.0:0")
        service.addresses = [service.addresses[0].replace("0.0.0.0", "127.0.0.1")]
        self.assertEqual(service.sign(token=token).status, 200)
        self.assertEqual(service.sign().status, 401)
        # A client that trusts another authority does not trust this service.
        with self.assertRaises(ssl.SSLCertVerificationError):
            service.sign(token=token, context=self.trusting(self.foreign))
        # Plain HTTP and old versions get no answer.
        with service.raw() as sock:
            sock.sendall(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                self.assertNotIn(b"200 OK", sock.recv(4096))
            except ConnectionResetError:
                pass
        old = self.trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            service.get("/upcheck", context=old)

    def test_the_cookie_of_the_console_is_sent_back_over_tls_only(self):
        token, line = self.token()
        service = self.serve(clients=line)
        opened = service.post("/console/session", None, token=token)
        cookie = opened.headers["set-cookie"]
        self.assertEqual(cookie.split("; ")[1:], ["Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Strict", "Secure"])
        both = {"Cookie": cookie.split(";")[0], "X-HA-Signer-Console": opened.json["key"]}
        self.assertEqual(service.get("/api/v1/duties", headers=both).status, 200)
        ended = service.post("/console/logout", None, headers=both)
        self.assertTrue(ended.headers["set-cookie"].endswith("; Max-Age=0; HttpOnly; SameSite=Strict; Secure"), ended.headers)

    def test_its_health_is_asked_for_over_tls(self):
        service = self.serve(clients=self.token()[1])
        address = service.addresses[0]
        self.assertEqual(e2e.run("health", "--listen", address, "--tls-certificate", str(self.certificate)).returncode, 0)
        plain = e2e.run("health", "--listen", address)
        self.assertEqual(plain.returncode, 1, "without TLS it gets no answer")

    def test_knows_clients_by_their_certificates(self):
        good, other = self.authority.issue("validator-1"), self.authority.issue("nobody")
        expired, foreign = self.authority.issue("validator-1-old", expired=True), self.foreign.issue("validator-1")
        digest = subprocess.run(["openssl", "x509", "-in", str(other[0]), "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True).stdout
        fingerprint = digest.split("=")[1].strip().replace(":", "").lower()
        token, line = self.token("read")
        clients = f"first certificate:cn:validator-1 sign\nsecond certificate:sha256:{fingerprint} read\n{line}\nold certificate:cn:validator-1-old sign"
        service = self.serve("--tls-client-ca", str(self.authority.certificate), clients=clients)
        self.assertEqual(service.sign(context=self.trusting(client=good)).status, 200)
        self.assertEqual(service.get("/api/v1/nodes", context=self.trusting(client=good)).status, 403)
        self.assertEqual(service.get("/api/v1/nodes", context=self.trusting(client=other)).status, 200)
        self.assertEqual(service.sign(context=self.trusting(client=other)).status, 403)
        self.assertEqual(service.get("/api/v1/nodes", token=token).status, 200)
        self.assertEqual(service.get("/api/v1/nodes").status, 401)
        for wrong in (expired, foreign):
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                service.sign("0xcc", slot=9, context=self.trusting(client=wrong))
        service.write_clients(clients.replace("validator-1 sign", "validator-9 sign"))
        self.assertEqual(service.process.poll(), None)

    def test_a_certificate_that_cannot_be_used_is_refused_at_start(self):
        _, line = self.token()
        expired = self.authority.issue("old", expired=True)
        _, other_key = self.authority.issue("other")

        def refuses(**files):
            service = self.serve(clients=line, wait=False, **files)
            self.assertEqual(service.process.wait(timeout=30), e2e.USAGE)
            service.reader.join()
            return service.log()

        self.assertIn("has expired", refuses(certificate=expired[0], key=expired[1]))
        self.assertIn("belongs to another certificate", refuses(key=other_key))
        self.assertIn("cannot be used: No such file", refuses(certificate=self.folder.path / "nothing"))
        self.assertIn("must be a PEM file of the certificate", refuses(certificate=self.folder.file("junk", "junk")))
        open_key = self.folder.path / "open.key"
        shutil.copy(self.key, open_key)
        open_key.chmod(0o644)
        self.assertIn("chmod 600", refuses(key=open_key))

    def test_a_reload_brings_the_new_certificate(self):
        token, line = self.token()
        certificate, key = self.folder.path / "current.pem", self.folder.path / "current.key"
        shutil.copy(self.certificate, certificate)
        shutil.copy(self.key, key)
        service = self.serve(clients=line, certificate=certificate, key=key)
        self.assertEqual(self.name_of(service), "server")
        renewed = self.authority.issue("renewed")
        shutil.copy(renewed[0], certificate)
        self.assertEqual(service.post("/reload", "", token=token).status, 422)
        self.assertEqual(self.name_of(service), "server")
        shutil.copy(renewed[1], key)
        self.assertEqual(service.post("/reload", "", token=token).status, 200)
        self.assertEqual(self.name_of(service), "renewed")

    def name_of(self, service):
        host, port = service.addresses[0].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as sock, self.trusting().wrap_socket(sock, server_hostname=host) as secure:
            return dict(part[0] for part in secure.getpeercert()["subject"])["commonName"]


if __name__ == "__main__":
    e2e.main()
