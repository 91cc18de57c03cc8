#!/usr/bin/env python3
"""`doctor` about keys: files, duplicates, history, remote signers. Each check fails for the right reason, and passes where all is well."""

import json
import os
import unittest

import e2e_support as e2e
from doctor_support import DoctorCase
from e2e_support import ADDRESS, UNAVAILABLE, USAGE
from remote_signer_support import RemoteSigner

OTHER_KEY = "0x" + "00" * 31 + "02"
OTHER_ADDRESS = "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"  # of private key 2, as every Ethereum library gives it
FEES = "0x" + "11" * 32


def keystore(*validators, **more):
    return json.dumps({"schemaVersion": 1, "validators": [{"feeRecipient": FEES} | validator for validator in validators]} | more)


class KeyTests(DoctorCase):
    def setUp(self):
        super().setUp()
        self.data = self.folder.path / "data"
        self.data.mkdir(mode=0o700)
        self.variables |= {"DATA_DIRECTORY": str(self.data), "VALIDATOR_HA_NODE_ID": None}

    def with_keys(self, text, name="keys.json", mode=0o600):
        self.variables["KEY_STORE_DIRECTORY"] = self.folder.file(name, text, mode)

    def sign(self, database, node, key=e2e.KEY):
        done = e2e.run("sign", "--database-url", database, "--node-id", node, "--rollup", e2e.ROLLUP, "--key-env", "SIGNS", "--duty-type", "ATTESTATION",
                       "--slot", "5", "--message-hash", e2e.HASH, env=e2e.clean_environment(SIGNS=key))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_sound_files(self):
        self.with_keys(keystore({"attester": e2e.KEY}, {"attester": OTHER_KEY}))
        findings = self.doctor()
        self.is_well(findings, "key_files", "^2 validators with 2 attesters, each once; their files are closed to others$")
        self.is_well(findings, "key_memory", "never written to swap")
        self.is_well(findings, "remote_signers", "^every key is local$")

    def test_permissions(self):
        self.with_keys(keystore({"attester": e2e.KEY}), mode=0o644)
        findings = self.doctor()
        self.finds(findings, "key_files", "failure", "open to other users .mode 0644", "^chmod 600 '.*keys.json'$")
        self.finds(findings, "key_history", "skipped", "the check key_files failed")
        self.assertEqual(self.code, USAGE)

    def test_duplicates_across_files(self):
        folder = self.folder.path / "many"
        folder.mkdir(mode=0o700)
        for name in ("a.json", "b.json"):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(keystore({"attester": e2e.KEY}))
        self.finds(self.doctor(KEY_STORE_DIRECTORY=str(folder)), "key_files", "failure", f"b.json .*{ADDRESS}, which is also .*a.json", "keys check")

    def test_no_keys(self):
        self.finds(self.doctor(KEY_STORE_DIRECTORY=None), "key_files", "failure", "--key-store-directory is missing", "KEY_STORE_DIRECTORY")
        self.finds(self.doctor(KEY_STORE_DIRECTORY="/nowhere/keys.json"), "key_files", "failure", "No such file", "keys check")

    def test_what_an_aztec_node_would_refuse(self):
        text = keystore({"attester": e2e.KEY})
        self.with_keys("\ufeff" + text)
        self.finds(self.doctor(), "key_files", "warning", "in doubt: .*byte order mark", "ha-signer keys check")

    def test_keys_without_a_history(self):
        self.with_keys(keystore({"attester": e2e.KEY}, {"attester": OTHER_KEY}))
        findings = self.doctor()
        self.finds(findings, "key_history", "warning", "neither a duty nor a watermark of 2 of 2 attesters", "ha-signer import")
        url = f"sqlite:{self.data}/signing-protection.db"
        self.sign(url, "local")
        self.finds(self.doctor(), "key_history", "warning", rf"nor a watermark of 1 of 2 attesters \({OTHER_ADDRESS}\)", "ha-signer watermark set")
        done = e2e.run("watermark", "set", "--database-url", url, "--rollup", e2e.ROLLUP, "--validator", OTHER_ADDRESS, "--duty-type", "all", "--low", "7")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.is_well(self.doctor(), "key_history", "duties or watermarks of every attester")

    def test_keys_that_nodes_of_a_database_hold_too(self):
        self.sign(f"sqlite:{self.data}/signing-protection.db", "local")
        database = e2e.postgres().new_database()
        variables = {"VALIDATOR_HA_SIGNING_ENABLED": "false", "VALIDATOR_HA_DATABASE_URL": database}
        self.is_well(self.doctor(**variables), "key_holders", "none may hold them")
        self.sign(database, "site-a")
        findings = self.doctor(**variables)
        self.finds(findings, "key_holders", "failure", r"sign with the same keys \(site-a with 1 key\), and this node does not ask", "VALIDATOR_HA_SIGNING_ENABLED=true")
        self.assertEqual(self.code, USAGE)
        shared = self.doctor(VALIDATOR_HA_SIGNING_ENABLED="true", VALIDATOR_HA_DATABASE_URL=database, VALIDATOR_HA_NODE_ID="site-b")
        self.is_well(shared, "key_holders", "all through this database: site-a with 1 key")
        self.is_well(shared, "key_history", "every attester")

    def test_memory_that_cannot_be_locked(self):
        # Root needs no limit, unless the capability is taken from it.
        drop = "setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock" if os.geteuid() == 0 else ""
        self.finds(self.doctor(within=f"ulimit -l 0; {drop}"), "key_memory", "warning", "could not be locked", "LimitMEMLOCK")

    def test_remote_signers(self):
        with RemoteSigner(ADDRESS) as signer:
            account = {"address": ADDRESS, "remoteSignerUrl": signer.url()}
            self.with_keys(keystore({"attester": account}))
            self.is_well(self.doctor(), "remote_signers", "^1 remote signer answered, and holds 1 key$")
            self.with_keys(keystore({"attester": account | {"address": OTHER_ADDRESS}}))
            self.finds(self.doctor(), "remote_signers", "failure", f"does not hold the key of {OTHER_ADDRESS}", "add the keys")
            self.assertEqual(self.code, USAGE)
            self.with_keys(keystore({"attester": account | {"remoteSignerUrl": signer.url("late")}}))
            self.finds(self.doctor(), "remote_signers", "warning", "^it took 1[0-9]{3} ms until the remote signers had said", "look what makes the slowest")
            self.with_keys(keystore({"attester": account | {"remoteSignerUrl": signer.url("never")}}))
            self.finds(self.doctor(HA_SIGNER_REMOTE_TIMEOUT_MS="500"), "remote_signers", "failure", "did not answer in time", "HA_SIGNER_REMOTE_TIMEOUT_MS")
            self.with_keys(keystore({"attester": account | {"remoteSignerUrl": signer.tls_url()}}))
            self.finds(self.doctor(), "remote_signers", "failure", "certificate that is not accepted", "HA_SIGNER_REMOTE_CA_FILE")
            self.assertEqual(self.code, UNAVAILABLE)
        silent = {"address": ADDRESS, "remoteSignerUrl": f"http://127.0.0.1:{e2e.free_port()}"}
        self.with_keys(keystore({"attester": silent}))
        self.finds(self.doctor(), "remote_signers", "failure", "Connection refused", "start the remote signer")
        self.assertEqual(self.code, UNAVAILABLE)
        self.with_keys(keystore({"attester": e2e.KEY, "publisher": silent}))
        self.finds(self.doctor(), "remote_signers", "warning", "publishers only", "start the remote signer")
        self.assertEqual(self.code, 0)


if __name__ == "__main__":
    e2e.main()
