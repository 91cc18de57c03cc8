#!/usr/bin/env python3
"""Runs the commands of docs/operating.md, block by block in one shell, against two real PostgreSQL servers with TLS, and looks
whether what the document promises has come true."""

import http.client
import json
import re
import subprocess
import unittest
from pathlib import Path

import e2e_support as e2e
from documents import Shell, commands

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/operating.md"
HOSTS = ("db1.example", "db2.example")
ADDRESS = "0x7564105e977516c53be337314c7e53838967bdac"  # of the private key of forty-fours, as every Ethereum library gives it
ACCESS = """\
local all postgres trust
host all,replication postgres 127.0.0.1/32 trust
hostssl ha,ha_restored ha_signer_owner,+ha_signer 127.0.0.1/32 scram-sha-256
"""


class Primary(e2e.PostgresServer):
    """Lets roles in as the document says: with a password, and over TLS only."""

    def __init__(self):
        super().__init__(options="")  # doctor does not accept fsync=off
        self.stop()
        data = self.folder.path / "data"
        (data / "pg_hba.conf").write_text(ACCESS)
        make_certificates(self.folder.path, data)
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\npassword_encryption = 'scram-sha-256'\n")
        self.start()

    def wait_for_standby(self):
        while self.sql("select count(*) from pg_stat_replication where replay_lsn = pg_current_wal_lsn()") != "1":
            pass


class Standby(e2e.PostgresServer):
    """A streaming standby of it, called site_b."""

    def __init__(self, primary):  # not the base's: its data is the primary's
        self.folder, self.port, self.user, self.programs = e2e.Folder(), e2e.free_port(), primary.user, primary.programs
        self.options = primary.options
        if self.user:
            subprocess.run(["chown", "postgres:postgres", self.folder.path], check=True)
        data = self.folder.path / "data"
        self._call("pg_basebackup", "--pgdata", data, "--write-recovery-conf", "--checkpoint=fast", "--create-slot", "--slot=site_b",
                   "--dbname", primary.url())
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("cluster_name = 'site_b'\n")
        self.start()

    def promote(self):
        self._call("pg_ctl", "promote", "--wait", "--silent", "-D", self.folder.path / "data")


def make_certificates(folder, data):
    """An authority, and a certificate of it for both hosts."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=authority",
            "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={HOSTS[0]}", "-keyout", "server.key",
            "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=" + ",".join(f"DNS:{host}" for host in HOSTS))
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names",
            "-out", "server.crt")
    owner = data.stat()
    for name in ("server.key", "server.crt"):
        target = data / name
        target.write_bytes((folder / name).read_bytes())
        target.chmod(0o600)
        subprocess.run(["chown", f"{owner.st_uid}:{owner.st_gid}", target], check=True)


class ServersCase(unittest.TestCase):
    def setUp(self):
        self.primary = Primary()
        self.addCleanup(self.primary.stop, "immediate")
        self.standby = Standby(self.primary)
        self.addCleanup(self.standby.stop, "immediate")
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)


class OperatingTests(ServersCase):
    def setUp(self):
        super().setUp()
        self.folder.file("attester.key", "0x" + "44" * 32 + "\n")
        self.folder.file("postgresql-ca.pem", (self.primary.folder.path / "ca.pem").read_text())
        self.ports = {"9000": str(e2e.free_port()), "9001": str(e2e.free_port())}
        path = f"{Path(e2e.PROGRAM).parent}:{self.primary.programs}:/usr/bin:/bin"
        self.shell = Shell(self.folder.path, e2e.clean_environment(PATH=path))
        self.addCleanup(self.shell.end)

    def here(self, block):
        """The block, with the test's servers and ports for those of the document."""
        both = f"@{HOSTS[0]}:{self.primary.port},{HOSTS[1]}:{self.standby.port}/ha?hostaddr=127.0.0.1,127.0.0.1&"
        block = block.replace(f"@{HOSTS[0]},{HOSTS[1]}/ha?", both)
        block = block.replace(f"@{HOSTS[0]}/postgres", f"@{HOSTS[0]}:{self.primary.port}/postgres?hostaddr=127.0.0.1")
        return re.sub(r"127\.0\.0\.1:(900[01])", lambda found: "127.0.0.1:" + self.ports[found.group(1)], block)

    def get(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.ports[port]), timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", path, headers={"Authorization": "Bearer " + (self.folder.path / "operator.token").read_text().strip()})
        return json.loads(connection.getresponse().read())

    def test_commands_do_what_the_document_says(self):
        blocks = commands(DOCUMENT)
        said = {}
        for heading, block in blocks:
            out, code = self.shell.run(self.here(block))
            self.assertEqual(code, 0, f"{heading}:\n{block}\n{out}\n{self.shell.errors()}")
            said.setdefault(heading, []).append(out)
            check = getattr(self, "after_" + re.sub(r"\W+", "_", heading.lower()).strip("_"), None)
            if check:
                check(said[heading])
        self.assertGreaterEqual(len(blocks), 15)
        for secret in ("owner-secret", "signer-secret", "44" * 32, (self.folder.path / "validator-1.token").read_text().strip()):
            self.assertNotIn(secret, self.shell.errors())
            self.assertNotIn(secret, "".join(sum(said.values(), [])))

    def after_one_node(self, said):
        if len(said) == 3:
            self.assertIn('"ready":true', said[2])
            self.assertRegex(said[2], '"signature":"0x[0-9a-f]{130}"')

    def after_two_machines_one_postgresql(self, said):
        if len(said) < 4:
            return
        self.assertEqual(said[3].count('"ready":true'), 2)
        self.assertRegex(said[3], r"site-a +alive")
        self.assertRegex(said[3], r"site-b +alive")
        # The role is not more than the document says: the tables are not its own, and neither are the watermarks.
        for forbidden in ("delete from ha_signer_watermarks", "alter table validator_duties disable trigger all", "truncate validator_duties",
                          "update schema_version set version = 9", "select * from pgmigrations", "create table mine ()"):
            out, code = self.shell.run(f'! psql -q "$signer" -c "{forbidden}"')
            self.assertEqual(code, 0, f"{forbidden}: {out}")
        # What was signed before the move stays signed.
        self.assertIn("412", self.asked(slot=4711, message="0xbb"))
        self.assertIn("200", self.asked(slot=4712, message="0xbb"))

    def asked(self, slot, message):
        out, _ = self.shell.run(self.here(
            "curl -s -w ' %{http_code}' 127.0.0.1:9000/api/v1/sign -H \"Authorization: Bearer $(cat validator-1.token)\" "
            f"-H 'Content-Type: application/json' -d '{{\"validator\": \"{ADDRESS}\", \"message\": \"{message}\", "
            f"\"context\": {{\"dutyType\": \"ATTESTATION\", \"slot\": {slot}}}}}'"))
        return out

    def after_three_sites_synchronous_replication(self, said):
        self.assertEqual(self.get("9000", "/readyz")["replication"],
                         {"synchronousStandbys": "ANY 1 (site_b, site_c)", "needed": 1, "connected": 1})
        self.assertIn("200", self.asked(slot=4713, message="0xbb"))

    def after_watching(self, said):
        self.assertIn('ha_signer_ready{aztec_ha_signer_node_id="site-a"} 1', said[0])
        self.assertIn("4713", said[0])

    def after_rotation(self, said):
        if len(said) < 2:
            return
        self.assertIn("reloaded", said[0])
        self.assertIn("200", self.asked(slot=4714, message="0xbb"))

        self.assertIn("site-b", said[1], "the new role sees what the old one saw")

    def after_after_a_restore_or_a_failover_that_may_have_lost_commits_a_watermark(self, said):
        sign = ("VALIDATOR_HA_DATABASE_URL=${signer/\\/ha\\?/\\/ha_restored?} ha-signer sign --node-id site-a --key-file attester.key "
                "--duty-type ATTESTATION --message-hash 0x%064d --slot %d")
        # With the role's own grants, which came along.
        _, below = self.shell.run(sign % (1, 5000))
        _, above = self.shell.run(sign % (1, 5001))
        self.assertEqual((below, above), (7, 0), self.shell.errors())

    def after_retention(self, said):
        self.assertIn("0 duties", said[0] + self.shell.errors())


class FailoverTests(ServersCase):
    """What the document says about failovers is so: what may get lost, and what keeps it from being signed again."""

    def setUp(self):
        super().setUp()
        name = self.primary.new_database().rsplit("/", 1)[1]
        self.url = (f"postgresql://postgres@{HOSTS[0]}:{self.primary.port},{HOSTS[1]}:{self.standby.port}/{name}"
                    "?hostaddr=127.0.0.1,127.0.0.1&connect_timeout=2")
        self.primary.wait_for_standby()

    def sign(self, message_hash, *, slot, key="44"):
        key_file = self.folder.file(f"key{key}", "0x" + key * 32)
        return e2e.run("sign", "--database-url", self.url, "--node-id", "node", "--rollup", e2e.ROLLUP, "--key-file", key_file, "--duty-type",
                       "ATTESTATION", "--slot", str(slot), "--message-hash", message_hash, "--attempt-timeout-ms", "3000",
                       "--signer-call-timeout-ms", "1000")

    def fail_over(self):
        self.primary.stop("immediate")
        self.standby.start()
        self.standby.promote()

    def test_an_asynchronous_standby_forgets_and_a_watermark_makes_up_for_it(self):
        self.standby.stop()
        for key in ("44", "55"):
            self.assertEqual(self.sign(e2e.HASH, slot=100, key=key).returncode, e2e.SIGNED)
        self.fail_over()
        moved = e2e.run("watermark", "set", "--database-url", self.url, "--rollup", e2e.ROLLUP, "--validator", ADDRESS, "--duty-type", "all",
                        "--low", "100")
        self.assertEqual(moved.returncode, 0, moved.stderr)
        self.assertEqual(self.sign(e2e.OTHER_HASH, slot=100).returncode, e2e.WATERMARK)
        self.assertEqual(self.sign(e2e.OTHER_HASH, slot=101).returncode, e2e.SIGNED)
        self.assertEqual(self.sign(e2e.OTHER_HASH, slot=100, key="55").returncode, e2e.SIGNED,
                         "if this is refused, the document warns of what does not happen")

    def test_with_a_synchronous_standby_nothing_is_released_that_a_failover_forgets(self):
        self.assertEqual(self.sign(e2e.HASH, slot=99).returncode, e2e.SIGNED)
        self.primary.sql("alter system set synchronous_standby_names = 'ANY 1 (site_b, site_c)'")
        self.primary.sql("select pg_reload_conf()")
        while self.primary.sql("select count(*) from pg_stat_replication where sync_state = 'quorum'") != "1":
            pass
        self.assertEqual(self.sign(e2e.HASH, slot=100).returncode, e2e.SIGNED)
        self.standby.stop()
        unconfirmed = self.sign(e2e.HASH, slot=101)
        self.assertIn(unconfirmed.returncode, (e2e.IN_DOUBT, e2e.UNAVAILABLE))
        self.assertEqual(unconfirmed.stdout, "", "no signature leaves")
        self.fail_over()
        self.assertEqual(self.sign(e2e.OTHER_HASH, slot=100).returncode, e2e.SLASHING)
        self.assertEqual(self.sign(e2e.OTHER_HASH, slot=101).returncode, e2e.SIGNED, "no node has signed the other message")


if __name__ == "__main__":
    e2e.main()
