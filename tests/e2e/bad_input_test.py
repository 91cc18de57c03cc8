#!/usr/bin/env python3
"""Everything that a caller can get wrong: refused before anything is written, with the field and the value named."""

import os
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import ADDRESS, HASH, KEY, ROLLUP, SIGNED, USAGE

BEYOND_BIGINT = str(2**63)


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.key_file = cls.folder.file("key", KEY)
        cls.database = cls.folder.path / "signer.db"

    @classmethod
    def tearDownClass(cls):
        cls.folder.remove()

    def arguments(self, command="sign", **changes):
        """A right command line with some arguments changed; None leaves one out."""
        values = {"database_url": f"sqlite:{self.database}", "node_id": "node-1", "rollup": ROLLUP, "duty_type": "ATTESTATION",
                  "slot": "5", "message_hash": HASH}
        values |= {"key_file": self.key_file} if command == "sign" else {"address": ADDRESS}
        values |= changes
        result = [command]
        for name, value in values.items():
            option = f"--{name.replace('_', '-')}"
            if value is not None:
                result += [f"{option}={value}"] if value else [option, ""]
        return result

    def refused(self, *words, arguments, env=None):
        done = e2e.run(*arguments, env=env)
        self.assertEqual((done.returncode, done.stdout), (USAGE, ""), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(self.database.exists(), f"{arguments} has made the database")
        self.assertNotIn("terminate", done.stderr)
        return done.stderr

    def test_the_right_command_line_is_accepted(self):
        for changes in ({}, {"slot": str(10**8)}, {"rollup": ROLLUP.upper().replace("0X", "0x")}, {"block_index": "-1"},
                        {"duty_type": "BLOCK_PROPOSAL", "block_index": str(2**31 - 1)}, {"node_id": "ä" * 255}):
            arguments = self.arguments(**changes, **({} if changes else {"slot": "1"}))
            done = e2e.run(*arguments)
            self.assertEqual(done.returncode, SIGNED, (changes, done.stderr))
            for path in self.folder.path.glob("signer.db*"):
                path.unlink()

    def test_numbers(self):
        for option in ("slot", "block_number", "checkpoint_number"):
            for value in ("-1", BEYOND_BIGINT, "1e3", "5.0", "0x5", "five", " 5", "5 ", "+5", "", "99999999999999999999999"):
                with self.subTest(option=option, value=value):
                    self.refused("--" + option.replace("_", "-"), value.strip(), arguments=self.arguments(**{option: value}))

    def test_block_index(self):
        for value in (None, "-1", "-2", str(2**31), BEYOND_BIGINT, "x", "1.5"):
            with self.subTest(value=value):
                words = ["--block-index", value or "missing"]
                self.refused(*words, arguments=self.arguments(duty_type="BLOCK_PROPOSAL", block_index=value))
        for duty_type in ("CHECKPOINT_PROPOSAL", "ATTESTATION", "ATTESTATIONS_AND_SIGNERS", "GOVERNANCE_VOTE", "SLASHING_VOTE"):
            with self.subTest(duty_type=duty_type):
                self.refused("--block-index", "'0'", duty_type, arguments=self.arguments(duty_type=duty_type, block_index="0"))

    def test_hashes_addresses_and_types(self):
        for value in ("not a hash", HASH[:-2], HASH + "11", HASH[2:], "0x" + "zz" * 32, HASH[:-1] + "g", "", "0x"):
            with self.subTest(message_hash=value):
                self.refused("--message-hash", value[:40], "64 hexadecimal digits", arguments=self.arguments(message_hash=value))
        for value in (ROLLUP[:-2], ROLLUP + "00", "0X0x" + ROLLUP[4:], "0x" + "g" * 40, "rollup", "0x" + "0" * 40):
            with self.subTest(rollup=value):
                self.refused("--rollup", value[:40], arguments=self.arguments(rollup=value))
            if value != "0x" + "0" * 40:
                with self.subTest(address=value):
                    self.refused("--address", value[:40], arguments=self.arguments("check", address=value))
        for value in ("attestation", "BLOCK", "", "ATTESTATION "):
            with self.subTest(duty_type=value):
                self.refused("--duty-type", value.strip(), "BLOCK_PROPOSAL", arguments=self.arguments(duty_type=value))

    def test_a_wrong_checksum_is_a_warning_and_mixed_case_is_none(self):
        right = e2e.run(*self.arguments("check", address=ADDRESS))
        self.assertEqual((right.returncode, right.stderr), (SIGNED, ""))
        wrong_case = ADDRESS[:-1] + ADDRESS[-1].upper()
        for command, option, arguments in (("check", "--address", {"address": wrong_case}),
                                           ("check", "--rollup", {"rollup": "0x5FbDB2315678afecb367f032d93F642f64180aA3"})):
            done = e2e.run(*self.arguments(command, **arguments))
            self.assertEqual(done.returncode, SIGNED, done.stderr)
            self.assertIn(option, done.stderr)
            self.assertIn("EIP-55", done.stderr)

    def test_node_ids(self):
        for value in ("", "n" * 256, "node\n1", "node\t1", "node\x1b[31m", "node\x7f"):
            with self.subTest(node_id=value):
                shown = self.refused("--node-id", arguments=self.arguments(node_id=value))
                self.assertNotIn("\x1b", shown)
        done = e2e.run(*[os.fsencode(a) for a in self.arguments(node_id=None)], b"--node-id", b"node\xff\xfe")
        self.assertEqual(done.returncode, USAGE, done.stderr)

    def test_keys(self):
        self.refused("--key-file", "--key-env", arguments=self.arguments(key_file=None))
        self.refused("--key-file", "--key-env", "contradict", arguments=self.arguments(key_env="KEY"))
        self.refused("--key-env", "NO_SUCH_KEY", arguments=self.arguments(key_file=None, key_env="NO_SUCH_KEY"))
        self.refused("--key-file", "/nowhere/key", "No such file", arguments=self.arguments(key_file="/nowhere/key"))
        self.refused("--key-file", str(self.folder.path), arguments=self.arguments(key_file=self.folder.path))
        self.refused("--key-file", arguments=self.arguments(key_file="/dev/zero"))
        group_order = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        for content in ("", "key", KEY[:-2], KEY + "00", KEY[2:], "0x" + "00" * 32, group_order, KEY * 100, "\n\n"):
            with self.subTest(content=content[:10]):
                path = self.folder.file("bad", content)
                shown = self.refused("--key-file", "bad", arguments=self.arguments(key_file=path))
                self.assertNotIn(group_order[10:40], shown)

    def test_key_files_that_others_may_use(self):
        for mode in (0o644, 0o640, 0o660, 0o604, 0o777, 0o610):
            path = self.folder.file(f"open-{mode:o}", KEY, mode)
            with self.subTest(mode=oct(mode)):
                self.refused(path, f"{mode:04o}", f"chmod 600 '{path}'", arguments=self.arguments(key_file=path))
            Path(path).chmod(0o600)
            self.assertEqual(e2e.run(*self.arguments("sign", key_file=path, duty_type="TXS")).returncode, SIGNED)

    def test_flags(self):
        for arguments, words in ((self.arguments() + ["--slot", "6"], ["--slot", "2 times"]),
                                 (self.arguments() + ["--slto", "6"], ["--slto", "--slot"]),
                                 (self.arguments() + ["extra"], ["extra"]),
                                 (self.arguments(slot=None), ["--slot"]),
                                 (self.arguments(message_hash=None), ["--message-hash"]),
                                 (self.arguments(node_id=None), ["--node-id", "VALIDATOR_HA_NODE_ID"]),
                                 (self.arguments(rollup=None), ["--rollup", "ROLLUP_CONTRACT_ADDRESS"]),
                                 (self.arguments(database_url=None), ["--database-url", "VALIDATOR_HA_DATABASE_URL"]),
                                 (self.arguments() + ["--signing-timeout-ms", "0"], ["--signing-timeout-ms", "'0'"]),
                                 (self.arguments() + ["--signer-call-timeout-ms", "80000"], ["--signer-call-timeout-ms", "72000"]),
                                 (["sing"], ["sing", "sign"])):
            with self.subTest(arguments=arguments[-2:]):
                self.refused(*words, arguments=arguments)

    def test_environment(self):
        env = e2e.clean_environment(VALIDATOR_HA_POLLING_INTERVAL_MS="soon")
        self.refused("VALIDATOR_HA_POLLING_INTERVAL_MS", "soon", arguments=self.arguments(), env=env)
        env = e2e.clean_environment(VALIDATOR_HA_NODE_ID="\x07")
        self.refused("VALIDATOR_HA_NODE_ID", arguments=self.arguments(node_id=None), env=env)

    def test_databases_that_are_something_else(self):
        text = self.folder.file("notes.txt", "This is not a database, it is a letter to my grandmother.\n" * 50)
        for url, words in (("sqlite:", ["--database-url", "sqlite:/var/lib/signer.db"]),
                           ("sqlite://signer.db", ["--database-url", "sqlite://signer.db"]),
                           ("mysql://root@localhost/x", ["--database-url", "mysql", "postgresql://"]),
                           ("memory:", ["VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION"]),
                           ("", ["--database-url"]),
                           (f"sqlite:{self.folder.path}", [str(self.folder.path)]),
                           (f"sqlite:{text}", ["notes.txt"])):
            with self.subTest(url=url):
                self.refused(*words, arguments=self.arguments(database_url=url))
        self.assertTrue(Path(text).read_text().startswith("This is not a database"))


if __name__ == "__main__":
    e2e.main()
