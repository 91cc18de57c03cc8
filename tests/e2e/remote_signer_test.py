#!/usr/bin/env python3
"""A service whose keys are at a remote signer: what comes back, what is refused, and what a failure leaves behind."""

import json
import signal
import unittest

import e2e_support as e2e
import service_support
from e2e_support import ADDRESS, UNAVAILABLE, USAGE
from remote_signer_support import VECTORS, RemoteSigner

# Messages of 31 to 33 bytes and what viem makes of them with the key of this address.
PERSONAL = json.loads(VECTORS.read_text())["personal"][4:7]
HOLDER = "0x5E5fE2243cF4DB2975750Ad6FAb0a3EacF0976e1"


class RemoteSignerTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.addClassCleanup(cls.folder.remove)
        cls.signer = RemoteSigner(HOLDER)
        cls.addClassCleanup(cls.signer.__exit__)
        cls.services = 0

    def account(self, url, address=HOLDER, **more):
        return {"address": address, "remoteSignerUrl": url, **more}

    def serve(self, *accounts, **options):
        type(self).services += 1
        service = service_support.Service(self.folder.path, *options.pop("arguments", ()), keys=accounts, name=f"s{self.services}", **options)
        self.addCleanup(service.stop)
        return service

    def sign(self, service, vector, slot):
        return service.sign(vector["message"], slot=slot, validator=HOLDER)

    def test_signs_what_viem_signs(self):
        service = self.serve(self.account(self.signer.url()))
        self.assertEqual(service.rpc("eth_accounts")["result"], [HOLDER.lower()])
        for slot, vector in enumerate(PERSONAL, start=1):
            self.assertEqual(self.sign(service, vector, slot).json["signature"], vector["signature"])
        self.assertEqual(self.sign(service, PERSONAL[1], slot=1).status, 412)

    def test_signs_over_tls_with_a_client_certificate(self):
        service = self.serve(self.account(self.signer.tls_url("mutual"), certPath=self.signer.file("client.p12"), certPass="client-password"),
                             arguments=["--remote-ca-file", self.signer.file("ca.crt")])
        self.assertEqual(self.sign(service, PERSONAL[0], slot=1).json["signature"], PERSONAL[0]["signature"])
        self.assertNotIn("client-password", service.log())

    def test_a_failed_call_leaves_the_duty_free_and_a_reload_mends_it(self):
        for path, reason in (("cut-signing", "closed the connection without an answer"), ("wrong-signing", "answered with a signature of")):
            service = self.serve(self.account(self.signer.url(path + "?token=secret")))
            failed = self.sign(service, PERSONAL[0], slot=3)
            self.assertGreaterEqual(failed.status, 500)
            self.assertIn(reason, failed.text)
            self.assertNotIn("signature\":", failed.text)
            service.write_keys([self.account(self.signer.url())])
            service.process.send_signal(signal.SIGHUP)
            service.wait_for("reloaded")
            self.assertEqual(self.sign(service, PERSONAL[1], slot=3).json["signature"], PERSONAL[1]["signature"])
            self.assertNotIn("secret", failed.text + service.log())

    def test_a_reload_with_a_key_that_the_remote_signer_lacks_changes_nothing(self):
        service = self.serve(self.account(self.signer.url()))
        service.write_keys([self.account(self.signer.url()), self.account(self.signer.url(), ADDRESS)])
        service.process.send_signal(signal.SIGHUP)
        self.assertIn(ADDRESS, service.wait_for("reload_failed")["what"])
        self.assertEqual(service.rpc("eth_accounts")["result"], [HOLDER.lower()])
        self.assertEqual(self.sign(service, PERSONAL[0], slot=1).status, 200)

    def test_does_not_start_without_its_keys(self):
        for account, code, reason in ((self.account(self.signer.url(), ADDRESS), USAGE, ADDRESS),
                                      (self.account("http://127.0.0.1:1"), UNAVAILABLE, "Connection refused"),
                                      (self.account(self.signer.tls_url("unknown")), UNAVAILABLE, "certificate")):
            service = self.serve(account, wait=False)
            self.assertEqual(service.process.wait(timeout=60), code)
            service.reader.join(timeout=5)
            self.assertIn(reason, service.log())


if __name__ == "__main__":
    e2e.main()
