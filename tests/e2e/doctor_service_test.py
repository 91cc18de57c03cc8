#!/usr/bin/env python3
"""`doctor` about the service: listeners, certificate, clients. Each check fails for the right reason, and passes where all is well."""

import json
import os
import socket
import unittest
from pathlib import Path

import e2e_support as e2e
from doctor_support import DoctorCase
from e2e_support import ADDRESS, USAGE
from serve_preferred_test import HealthServer
from serve_tls_test import Authority


class ServiceTests(DoctorCase):
    def setUp(self):
        super().setUp()
        self.variables |= {"DATA_DIRECTORY": str(self.folder.path / "data"), "VALIDATOR_HA_NODE_ID": None}

    def client(self, name, rights="sign", limits=""):
        made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
        return f"{made['line']} {limits}\n", made["token"]

    def with_clients(self, *lines, mode=0o600):
        self.variables["HA_SIGNER_CLIENTS_FILE"] = self.folder.file("clients", "".join(lines), mode)

    def with_certificate(self, certificate, key):
        self.variables |= {"HA_SIGNER_TLS_CERTIFICATE": str(certificate), "HA_SIGNER_TLS_KEY": str(key)}

    def test_a_sound_service(self):
        line, token = self.client("validator-1", limits=f"validators={ADDRESS}")
        self.with_clients(line)
        findings = self.doctor()
        for check, found in {"listeners": "^free to listen on: 127.0.0.1:", "exposure": "only this machine", "certificate": "plain HTTP",
                             "clients": "^1 client, each with a token", "client_limits": "is limited", "descriptors": "that this user may open"}.items():
            self.is_well(findings, check, found)
        self.assertNotIn(token, json.dumps(findings))

    def test_a_health_url(self):
        self.is_well(self.doctor(), "health", "no health URL is set")
        health = HealthServer()
        self.addCleanup(health.end)
        self.variables["HA_SIGNER_HEALTH_URL"] = health.url(user="me:s3cret@")
        findings = self.doctor()
        self.is_well(findings, "health", "^" + health.url() + " says that the node should take duties")
        self.assertNotIn("s3cret", json.dumps(findings))
        health.status = 500
        self.finds(self.doctor(), "health", "warning", "fails .the health URL answered with HTTP status 500., so the service would hold new duties back", "HA_SIGNER_HEALTH_URL")
        self.finds(self.doctor(HA_SIGNER_HEALTH_REFUSES="true"), "health", "warning", "would refuse new duties", "why the node is not well")
        self.finds(self.doctor(HA_SIGNER_HEALTH_URL="https://127.0.0.1/", HA_SIGNER_REMOTE_CA_FILE="/nowhere.pem"), "health", "failure", "file of authorities", "HA_SIGNER_REMOTE_CA_FILE")

    def test_a_port_that_is_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            self.finds(self.doctor(HA_SIGNER_LISTEN=address), "listeners", "failure", f"cannot listen on {address}: another program listens there", "HA_SIGNER_LISTEN")
        self.assertEqual(self.code, USAGE)
        self.is_well(self.doctor(HA_SIGNER_LISTEN=address), "listeners", "free to listen on")

    def test_an_address_that_is_there_twice(self):
        address = f"127.0.0.1:{e2e.free_port()}"
        self.finds(self.doctor(HA_SIGNER_LISTEN=f"{address},{address}"), "listeners", "failure", f"cannot listen on {address}", "HA_SIGNER_LISTEN")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_a_port_that_this_user_may_not_use(self):
        lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        if lowest == 0:
            self.skipTest("every user may use every port")
        as_other = "exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all"
        self.folder.path.chmod(0o755)
        self.finds(self.doctor(within=as_other, HA_SIGNER_LISTEN=f"127.0.0.1:{lowest - 1}"), "listeners", "failure", "Permission denied", "CAP_NET_BIND_SERVICE")

    def test_a_unix_socket_is_left_as_it_is(self):
        path = self.folder.path / "socket"
        self.is_well(self.doctor(HA_SIGNER_LISTEN=f"unix:{path}"), "listeners", "free to listen on: unix:")
        self.assertFalse(path.exists())
        self.finds(self.doctor(HA_SIGNER_LISTEN="unix:/nowhere/socket"), "listeners", "failure", "cannot listen on unix:/nowhere/socket", "HA_SIGNER_LISTEN")

    def test_an_address_of_another_machine(self):
        self.finds(self.doctor(HA_SIGNER_LISTEN="192.0.2.1:9000"), "listeners", "failure", "192.0.2.1:9000", "an address of this machine")

    def test_listeners_that_others_reach(self):
        beyond = f"0.0.0.0:{e2e.free_port()}"
        # Their check looks at the address only; the one of the listeners would open it.
        self.variables["HA_SIGNER_LISTEN"] = beyond.replace("0.0.0.0", "192.0.2.1")
        self.finds(self.doctor(), "exposure", "failure", "so it needs TLS", "HA_SIGNER_TLS_CERTIFICATE")
        self.finds(self.doctor(HA_SIGNER_ALLOW_PLAIN_HTTP="true"), "exposure", "failure", "must know its clients", "HA_SIGNER_CLIENTS_FILE")
        line, _ = self.client("validator-1", limits=f"validators={ADDRESS}")
        self.with_clients(line)
        self.finds(self.doctor(HA_SIGNER_ALLOW_PLAIN_HTTP="true"), "exposure", "warning", "by plain HTTP", "HA_SIGNER_TLS_CERTIFICATE")
        authority = Authority(self.folder.path, "ours")
        self.with_certificate(*authority.issue("server"))
        self.is_well(self.doctor(), "exposure", "by TLS and with a token")

    def test_clients(self):
        self.finds(self.doctor(), "clients", "warning", "every process of this machine", "ha-signer token")
        line, token = self.client("validator-1")
        self.with_clients(line)
        self.finds(self.doctor(), "client_limits", "warning", "^validator-1 may sign every type of duty with every key", "validators=ADDRESS")
        unprotected, _ = self.client("loose", "sign,unprotected", f"validators={ADDRESS}")
        self.with_clients(line, unprotected)
        self.finds(self.doctor(), "client_limits", "warning", "^loose may sign without protection", "right unprotected")
        self.with_clients(line, mode=0o644)
        findings = self.doctor()
        self.finds(findings, "clients", "failure", "open to other users", "^chmod 600")
        self.finds(findings, "client_limits", "skipped", "the check clients failed")
        self.with_clients(f"validator-1 {token} sign\n")
        findings = self.doctor()
        self.finds(findings, "clients", "failure", "clients:1", "ha-signer token")
        self.assertNotIn(token, json.dumps(findings))

    def test_a_right_that_needs_a_shared_database(self):
        line, _ = self.client("node", "claimed", f"validators={ADDRESS}")
        self.with_clients(line)
        self.finds(self.doctor(), "clients", "failure", "client node has the right claimed", "VALIDATOR_HA_SIGNING_ENABLED=true")

    def test_certificates(self):
        authority = Authority(self.folder.path, "ours")
        for days, verdict in ((1, "failure"), (20, "warning"), (200, "ok")):
            certificate, key = authority.issue(f"days{days}", days=days)
            self.with_certificate(certificate, key)
            finding = self.doctor()["certificate"]
            self.assertEqual(finding["verdict"], verdict, finding)
            self.assertRegex(finding["found"], rf"ends on 20[0-9-]+, in ({days - 1}|{days}) days?$")
            self.assertEqual(finding["mend"] is None, verdict == "ok", finding)
        self.with_certificate(*authority.issue("expired", expired=True))
        self.finds(self.doctor(), "certificate", "failure", "it has expired", "put a valid certificate")
        self.with_certificate(certificate, authority.issue("another")[1])
        self.finds(self.doctor(), "certificate", "failure", "belongs to another certificate", "put a valid certificate")
        key.chmod(0o644)
        self.with_certificate(certificate, key)
        self.finds(self.doctor(), "certificate", "failure", "open to other users", "^chmod 600")

    def test_descriptors(self):
        self.finds(self.doctor("--max-connections", "5000", within="ulimit -n 2000;"), "descriptors", "warning",
                   "up to 5110 files and connections, of 2000", "LimitNOFILE")


if __name__ == "__main__":
    e2e.main()
