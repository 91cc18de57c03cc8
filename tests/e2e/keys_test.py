#!/usr/bin/env python3
"""Keys from the shell: listed and checked without being shown, imported without being typed on a command line."""

import json
import os
import pty
import select
import subprocess
import time
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import ADDRESS, FAILURE, KEY, SIGNED, UNAVAILABLE, USAGE
from remote_signer_support import RemoteSigner

FEE = "0x" + "05".rjust(64, "0")
OTHER_KEY = "0x" + "2".rjust(64, "0")
# Key 2, as every Ethereum library gives it.
OTHER_ADDRESS = "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"
MNEMONIC = "test test test test test test test test test test test junk"
# The first accounts of Hardhat and Foundry, which derive them from this mnemonic.
MNEMONIC_ADDRESSES = ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
                      "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"]
PASSWORD = "correct horse battery staple"


def keystore(attester, **more):
    return json.dumps({"schemaVersion": 1, "validators": [{"attester": attester, "feeRecipient": FEE, **more}]})


class Terminal:
    """The program with a person at its terminal."""

    def __init__(self, *arguments):
        self.shown = ""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execve(e2e.PROGRAM, [e2e.PROGRAM, *arguments], e2e.clean_environment())

    def wait_for(self, text, timeout=30):
        give_up_at = time.monotonic() + timeout
        while text not in self.shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0, give_up_at - time.monotonic()))
            assert ready, f"waited for {text!r}, got {self.shown!r}"
            self.shown += os.read(self.terminal, 4096).decode()

    def type(self, text):
        os.write(self.terminal, text.encode())

    def answer(self, question, text):
        self.wait_for(question)
        self.type(text + "\n")

    def end(self):
        """Returns the output and the exit code."""
        while True:
            try:
                piece = os.read(self.terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            self.shown += piece.decode()
        _, status = os.waitpid(self.process, 0)
        os.close(self.terminal)
        return self.shown, os.waitstatus_to_exitcode(status)


class KeysCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)

    def new_folder(self, name):
        path = self.folder.path / name
        path.mkdir()
        return str(path)

    def keys(self, command, *arguments, **variables):
        return e2e.run("keys", command, *arguments, env=e2e.clean_environment(**variables))

    def assert_hidden(self, done, *secrets):
        for secret in secrets:
            self.assertNotIn(secret, done.stdout + done.stderr)


class VariableTests(KeysCase):
    """Keys from the variables of an Aztec node."""

    def check(self, **variables):
        return self.keys("check", **variables)

    def test_white_space_at_their_edges_is_left_out(self):
        done = self.check(VALIDATOR_ADDRESSES=f" {ADDRESS}\r\n", WEB3_SIGNER_URL="http://signer:9000\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("http://signer:9000: 1 key", done.stdout)
        self.assertEqual(self.check(VALIDATOR_PRIVATE_KEYS=f"{KEY}\n", VALIDATOR_ADDRESSES=" \n").returncode, 0)

    def test_what_is_wrong_or_missing_is_named(self):
        for variables, words in (({"VALIDATOR_ADDRESSES": ADDRESS}, "WEB3_SIGNER_URL is 'missing'"),
                                 ({"VALIDATOR_ADDRESSES": ADDRESS, "WEB3_SIGNER_URL": "signer:9000"}, "WEB3_SIGNER_URL is"),
                                 ({"VALIDATOR_ADDRESSES": ADDRESS, "WEB3_SIGNER_URL": '"http://signer"'}, "WEB3_SIGNER_URL is"),
                                 ({"VALIDATOR_ADDRESSES": ADDRESS, "WEB3_SIGNER_URL": "http://sig\\ner"}, "WEB3_SIGNER_URL is"),
                                 ({"VALIDATOR_PRIVATE_KEYS": " "}, "KEY_STORE_DIRECTORY"),
                                 ({"WEB3_SIGNER_URL": "http://signer"}, "KEY_STORE_DIRECTORY")):
            done = self.check(**variables)
            self.assertEqual(done.returncode, USAGE, variables)
            self.assertIn(words, done.stderr)


class ListTests(KeysCase):
    def test_tells_address_role_and_origin_and_no_key(self):
        file = self.folder.file("keys.json", keystore(KEY, publisher=OTHER_KEY, coinbase=MNEMONIC_ADDRESSES[0]))
        done = self.keys("list", "--key-store-directory", file)
        self.assertEqual((done.returncode, done.stderr), (SIGNED, ""))
        for words in ((ADDRESS, "attester", "keys.json validators[0].attester: private key"), (OTHER_ADDRESS, "publisher", "validators[0].publisher"),
                      (MNEMONIC_ADDRESSES[0], "coinbase"), (FEE, "fee recipient")):
            self.assertTrue(any(all(word in line for word in words) for line in done.stdout.splitlines()), (words, done.stdout))
        self.assert_hidden(done, KEY[2:], OTHER_KEY[2:])

    def test_tells_programs_the_same(self):
        folder = self.new_folder("keys")
        Path(folder, "a.json").write_text(keystore({"mnemonic": MNEMONIC, "addressCount": 2}))
        Path(folder, "b.json").write_text(keystore({"address": ADDRESS, "remoteSignerUrl": "https://user:secret@signer:9000/?token=secret"}))
        for path in Path(folder).iterdir():
            path.chmod(0o600)
        done = self.keys("list", "--json", KEY_STORE_DIRECTORY=folder)
        self.assertEqual(done.returncode, SIGNED, done.stderr)
        first, second = json.loads(done.stdout)["validators"]
        self.assertEqual([key["address"] for key in first["attesters"]], MNEMONIC_ADDRESSES[:2])
        self.assertTrue(first["attesters"][1]["from"].endswith("a.json validators[0].attester: mnemonic, m/44'/60'/0'/0/1"))
        self.assertEqual(first["attesters"][0]["remote_signer"], None)
        # Each attester's own address.
        self.assertEqual((first["coinbase"], first["fee_recipient"]), (None, FEE))
        self.assertEqual(second["attesters"][0]["remote_signer"], "https://signer:9000/")
        self.assert_hidden(done, "secret", "junk")

    def test_names_what_is_wrong(self):
        done = self.keys("list")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("KEY_STORE_DIRECTORY", done.stderr)
        file = self.folder.file("keys.json", keystore(KEY), 0o644)
        done = self.keys("list", "--key-store-directory", file)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(f"chmod 600 '{file}'", done.stderr)
        done = self.keys("list", "--json", "--key-store-directory", self.folder.file("bad.json", keystore(KEY + "0")))
        self.assertEqual(json.loads(done.stdout)["exit_code"], USAGE)
        self.assertIn("bad.json validators[0].attester", done.stderr)
        self.assert_hidden(done, KEY[2:])


class CheckTests(KeysCase):
    def remote_keystore(self, url, address=ADDRESS):
        return self.folder.file("remote.json", keystore(address, remoteSigner=url))

    def test_passes_files_that_are_in_order(self):
        done = self.keys("check", "--key-store-directory", self.folder.file("keys.json", keystore(KEY)))
        self.assertEqual((done.returncode, done.stderr), (SIGNED, ""))
        self.assertIn("1 validator with 1 attester", done.stdout)

    def test_names_what_aztecs_node_refuses(self):
        fee = "0x" + "f" * 64
        file = self.folder.file("keys.json", keystore(KEY, coinbase=OTHER_ADDRESS.replace("B5AD", "b5AD"), feeRecipient=fee))
        done = self.keys("check", "--key-store-directory", file)
        self.assertEqual(done.returncode, SIGNED, done.stderr)
        for place in ("validators[0].coinbase is an address whose letter case", "validators[0].feeRecipient is not an Aztec address"):
            self.assertIn(f"note: {file} {place}", done.stderr)
        done = self.keys("check", "--json", "--key-store-directory", file)
        self.assertEqual(len(json.loads(done.stdout)["doubts"]), 2)
        file = self.folder.file("bom.json", "\ufeff" + keystore(KEY))
        self.assertIn("byte order mark", self.keys("check", "--key-store-directory", file).stderr)

    def test_opens_client_certificates_of_old_pkcs12_files_and_names_a_wrong_password(self):
        path = self.folder.path

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=path, check=True, capture_output=True)

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=client", "-days", "9")
        export = ("pkcs12", "-export", "-inkey", "k.pem", "-in", "c.pem", "-passout", "pass:changeit", "-out")
        openssl(*export, "new.p12")
        openssl(*export, "rc2.p12", "-legacy")
        openssl(*export, "3des.p12", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-RC2-40", "-legacy", "-provider", "default")
        openssl("pkcs8", "-topk8", "-in", "k.pem", "-out", "des.key", "-v1", "PBE-MD5-DES", "-passout", "pass:changeit", "-provider", "legacy",
                "-provider", "default")
        (path / "des.pem").write_text((path / "des.key").read_text() + (path / "c.pem").read_text())

        def check(name, password):
            (path / name).chmod(0o600)
            remote = {"remoteSignerUrl": "https://signer", "certPath": str(path / name), "certPass": password}
            return self.keys("check", "--key-store-directory", self.remote_keystore(remote))

        for name in ("new.p12", "rc2.p12", "3des.p12", "des.pem"):
            with self.subTest(name=name):
                done = check(name, "changeit")
                self.assertEqual((done.returncode, done.stderr), (SIGNED, ""))
        for name in ("new.p12", "rc2.p12"):
            done = check(name, "secret")
            self.assertEqual(done.returncode, USAGE)
            self.assertIn("mac verify failure", done.stderr)
            self.assert_hidden(done, "secret")
        done = check("des.pem", "secret\n")
        self.assertRegex(done.stderr, r"unusable \(.*that certPass opens \(certPass has white space at its edges\)")
        (path / "cut.pem").write_text((path / "c.pem").read_text())
        (path / "empty.p12").write_text("")
        for name, words in (("k.pem", "it has no certificate"), ("cut.pem", "it has no private key"), ("empty.p12", "it is empty")):
            self.assertIn(f"{name} is 'unusable ({words})'", check(name, "changeit").stderr)

    def test_asks_no_remote_signer_unless_told_to(self):
        done = self.keys("check", "--key-store-directory", self.remote_keystore("http://127.0.0.1:1"))
        self.assertEqual((done.returncode, done.stderr), (SIGNED, ""))
        self.assertIn("not asked", done.stdout)

    def test_asks_remote_signers_whether_they_hold_the_keys(self):
        with RemoteSigner(ADDRESS) as signer:
            for path in ("", "capitals"):
                done = self.keys("check", "--remote", "--key-store-directory", self.remote_keystore(signer.url(path)))
                self.assertEqual((done.returncode, done.stderr), (SIGNED, ""))
                self.assertIn("holds 1 key", done.stdout)
            done = self.keys("check", "--remote", "--key-store-directory", self.remote_keystore(signer.url(), OTHER_ADDRESS))
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(OTHER_ADDRESS, done.stderr)
            self.assertIn("remote.json validators[0].attester", done.stderr)
            done = self.keys("check", "--remote", "--json", "--remote-timeout-ms", "200", "--key-store-directory",
                             self.remote_keystore(signer.url("never?token=secret")))
            self.assertEqual(done.returncode, UNAVAILABLE)
            answer = json.loads(done.stdout)
            self.assertEqual((answer["exit_code"], answer["attesters"]), (UNAVAILABLE, 1))
            self.assertIn("did not answer in time", answer["remote_signers"][0]["problem"])
            self.assert_hidden(done, "secret")

    def test_tells_of_a_remote_signer_that_is_not_there(self):
        done = self.keys("check", "--remote", "--key-store-directory", self.remote_keystore("http://127.0.0.1:1"))
        self.assertEqual(done.returncode, UNAVAILABLE)
        self.assertIn("Connection refused", done.stderr)

    def test_refuses_certificates_that_cannot_be_used_before_it_connects(self):
        missing = {"remoteSignerUrl": "https://signer", "certPath": "/nowhere/client.p12", "certPass": "secret"}
        done = self.keys("check", "--key-store-directory", self.remote_keystore(missing))
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("/nowhere/client.p12", done.stderr)
        self.assert_hidden(done, "secret")


class ImportTests(KeysCase):
    def password_file(self, password=PASSWORD + "\n"):
        return self.folder.file("password", password)

    def imported(self, *arguments):
        done = self.keys("import", "--json", *arguments)
        self.assertEqual(done.returncode, SIGNED, done.stderr)
        return json.loads(done.stdout)["imported"]

    def addresses_of(self, path, password=PASSWORD):
        """The addresses of a keystore file that names the imported key."""
        file = self.folder.file("using.json", keystore({"path": str(path), "password": password}))
        done = self.keys("list", "--json", "--key-store-directory", file)
        self.assertEqual(done.returncode, SIGNED, done.stderr)
        return [key["address"] for key in json.loads(done.stdout)["validators"][0]["attesters"]]

    def test_encrypts_a_private_key_into_a_file_of_its_owner(self):
        folder = self.new_folder("out")
        [entry] = self.imported("--key-file", self.folder.file("key", KEY + "\n"), "--password-file", self.password_file(), "--directory", folder)
        self.assertEqual(entry, {"address": ADDRESS, "file": f"{folder}/{ADDRESS.lower()}.json"})
        self.assertEqual(Path(entry["file"]).stat().st_mode & 0o7777, 0o600)
        written = json.loads(Path(entry["file"]).read_text())
        self.assertEqual((written["version"], written["address"]), (3, ADDRESS[2:].lower()))
        self.assertNotIn(KEY[2:], json.dumps(written))
        self.assertEqual(self.addresses_of(entry["file"]), [ADDRESS])

    def test_encrypts_neighbouring_keys_of_a_mnemonic(self):
        folder = self.new_folder("out")
        entries = self.imported("--key-file", self.folder.file("words", MNEMONIC), "--password-file", self.password_file(), "--directory",
                                folder, "--address-index", "1", "--address-count", "2")
        self.assertEqual([entry["address"] for entry in entries], MNEMONIC_ADDRESSES[1:])
        self.assertEqual(sorted(self.addresses_of(folder)), sorted(MNEMONIC_ADDRESSES[1:]))

    def test_a_mistyped_mnemonic_is_refused_by_import_and_doubted_by_check(self):
        mistyped = " ".join([*MNEMONIC.split()[:-1], "zebra"])
        folder = self.new_folder("out")
        done = self.keys("import", "--key-file", self.folder.file("words", mistyped), "--password-file", self.password_file(), "--directory", folder)
        self.assertEqual(done.returncode, USAGE, done.stderr)
        self.assertIn("probably mistyped", done.stderr)
        self.assertNotIn("zebra", done.stderr)
        self.assertEqual(list(Path(folder).iterdir()), [])
        # In a keystore file it works, as it does with an Aztec node.
        for words, doubted in ((mistyped, True), (MNEMONIC, False)):
            file = self.folder.file("keystore.json", keystore({"mnemonic": words}))
            done = self.keys("check", "--key-store-directory", file)
            self.assertEqual(done.returncode, SIGNED, done.stderr)
            self.assertEqual("validators[0].attester.mnemonic: its words do not fit together" in done.stderr, doubted, done.stderr)

    def test_takes_files_as_an_editor_of_windows_writes_them(self):
        bom = "\ufeff"
        key, password = self.folder.file("key", f"{bom}{KEY}\r\n"), self.password_file(f"{bom}{PASSWORD}\r\n")
        [entry] = self.imported("--key-file", key, "--password-file", password, "--directory", self.new_folder("out"))
        [listed] = self.addresses_of(entry["file"])
        self.assertEqual(listed, entry["address"])

    def test_takes_a_key_as_geth_writes_it(self):
        [entry] = self.imported("--key-file", self.folder.file("key", KEY[2:] + "\n"), "--password-file", self.password_file(), "--directory",
                                self.new_folder("out"))
        self.assertEqual(entry["address"], ADDRESS)

    def test_says_what_of_a_password_cannot_be_seen(self):
        for i, (password, words) in enumerate(((f"{PASSWORD} \n", "white space at its edges"), (f"{PASSWORD}\nold one\n", "more than one line"),
                                               (f"{PASSWORD}\r\n\n", None))):
            done = self.keys("import", "--key-file", self.folder.file("key", KEY), "--password-file", self.password_file(password), "--directory",
                             self.new_folder(f"out{i}"))
            self.assertEqual(done.returncode, 0, done.stderr)
            notes = [line for line in done.stderr.splitlines() if "password" in line and "keystore" not in line]
            self.assertEqual([words in note for note in notes], [True] if words else [], done.stderr)

    def test_takes_a_mnemonic_on_several_lines(self):
        words = MNEMONIC.replace("test test", "test\r\n  test\t", 3)
        [entry] = self.imported("--key-file", self.folder.file("words", f"\n{words}\n"), "--password-file", self.password_file(), "--directory",
                                self.new_folder("out"))
        self.assertEqual(entry["address"], MNEMONIC_ADDRESSES[0])

    def test_refuses_a_password_that_no_keystore_can_state(self):
        folder = self.new_folder("out")
        file = self.folder.path / "password"
        # What PowerShell writes, the same without its mark, and what an editor saves as Latin-1.
        for content in ("\ufeffsecret\r\n".encode("utf-16-le"), "secret\r\n".encode("utf-16-le"), "\ufeffsecret".encode("utf-16-be"), "gruß\n".encode("latin-1")):
            file.write_bytes(content)
            file.chmod(0o600)
            done = self.keys("import", "--key-file", self.folder.file("key", KEY), "--password-file", str(file), "--directory", folder)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn("--password-file", done.stderr)
            self.assertRegex(done.stderr, "UTF-8")
            self.assertEqual(os.listdir(folder), [])

    def test_encrypts_with_a_password_that_opens_the_file_in_either_form(self):
        decomposed, normal = "Zu\u0308rich\u00b2", "Z\u00fcrich2"
        done = self.keys("import", "--json", "--key-file", self.folder.file("key", KEY), "--password-file", self.password_file(decomposed + "\n"),
                         "--directory", self.new_folder("out"))
        self.assertIn("NFKC", done.stderr)
        [entry] = json.loads(done.stdout)["imported"]
        for password in (decomposed, normal):
            self.assertEqual(self.addresses_of(entry["file"], password), [ADDRESS])

    def test_takes_key_and_password_from_pipes(self):
        folder = self.new_folder("out")
        script = '"$0" keys import --key-file <(printf %s "$KEY") --password-file <(printf "%s\\n" "$PASSWORD") --directory "$1"'
        done = subprocess.run(["bash", "-c", script, e2e.PROGRAM, folder], env=e2e.clean_environment(KEY=KEY, PASSWORD=PASSWORD),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, SIGNED, done.stderr)
        self.assertEqual(self.addresses_of(folder), [ADDRESS])

    def test_asks_on_the_terminal_and_shows_nothing_of_the_answers(self):
        folder = self.new_folder("out")
        terminal = Terminal("keys", "import", "--directory", folder)
        terminal.answer("Private key or mnemonic (not shown): ", KEY)
        terminal.answer("New password (not shown): ", PASSWORD)
        terminal.answer("The same password again: ", PASSWORD)
        shown, code = terminal.end()
        self.assertEqual(code, SIGNED, shown)
        self.assertIn(ADDRESS, shown)
        self.assertNotIn(KEY[2:], shown)
        self.assertNotIn(PASSWORD, shown)
        self.assertEqual(self.addresses_of(folder), [ADDRESS])

    def test_writes_nothing_when_the_passwords_differ_or_the_person_gives_up(self):
        folder = self.new_folder("out")
        key_file = self.folder.file("key", KEY)
        terminal = Terminal("keys", "import", "--key-file", key_file, "--directory", folder)
        terminal.answer("New password (not shown): ", PASSWORD)
        terminal.answer("The same password again: ", PASSWORD + ".")
        shown, code = terminal.end()
        self.assertEqual(code, USAGE)
        self.assertIn("differ", shown)
        terminal = Terminal("keys", "import", "--key-file", key_file, "--directory", folder)
        terminal.wait_for("New password (not shown): ")
        terminal.type("abc\x03")
        shown, code = terminal.end()
        self.assertEqual(code, FAILURE, shown)
        self.assertEqual(os.listdir(folder), [])

    def test_never_touches_an_existing_file(self):
        folder = self.new_folder("out")
        there = Path(folder, f"{ADDRESS.lower()}.json")
        there.write_text("mine")
        done = self.keys("import", "--key-file", self.folder.file("key", KEY), "--password-file", self.password_file(), "--directory", folder)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("exists already", done.stderr)
        self.assertEqual(there.read_text(), "mine")

    def test_refuses_what_is_not_a_key_and_shows_nothing_of_it(self):
        folder = self.new_folder("out")
        for content in ("", KEY[:-1], KEY[3:], KEY + "0", "0x" + "00" * 32, "junk", f"export KEY={KEY}", MNEMONIC + " more", MNEMONIC.replace("junk", "Junk")):
            with self.subTest(content=content[:12]):
                done = self.keys("import", "--key-file", self.folder.file("key", content), "--password-file", self.password_file(), "--directory",
                                 folder)
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertIn("the key in --key-file", done.stderr)
                self.assert_hidden(done, KEY[2:40], "junk")
        for option in ("--account-index", "--address-index", "--address-count"):
            done = self.keys("import", "--key-file", self.folder.file("key", KEY), "--password-file", self.password_file(), option, "1")
            self.assertIn("a private key has no", done.stderr)
        self.assertEqual(os.listdir(folder), [])

    def test_refuses_files_that_others_may_read_and_empty_passwords(self):
        good_key, good_password = self.folder.file("key", KEY), self.password_file()
        open_file = self.folder.file("open", KEY, 0o640)
        for arguments, words in ((("--key-file", open_file, "--password-file", good_password), ["--key-file", f"chmod 600 '{open_file}'"]),
                                 (("--key-file", good_key, "--password-file", open_file), ["--password-file", f"chmod 600 '{open_file}'"]),
                                 (("--key-file", good_key, "--password-file", self.folder.file("empty", "\n")), ["empty"]),
                                 (("--key-file", KEY, "--password-file", good_password), ["looks like a key itself"]),
                                 (("--key-file", good_key, "--directory", "/nowhere"), ["--directory", "/nowhere"])):
            done = self.keys("import", *arguments)
            self.assertEqual(done.returncode, USAGE, arguments)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assert_hidden(done, KEY[2:])

    def test_shows_no_key_that_was_typed_as_a_wrong_argument(self):
        for arguments in (("import", KEY), ("import", "--key", KEY), ("import", f"--key={KEY}"), ("import", KEY[2:]), ("import", "--directory", KEY),
                          ("import", "--password-file", KEY), ("import", "--account-index", KEY), ("list", "--key-store-directory", KEY), ("list", KEY)):
            done = self.keys(*arguments)
            self.assertEqual(done.returncode, USAGE, arguments)
            self.assert_hidden(done, KEY[2:])

    def test_without_a_terminal_it_names_the_option_that_is_missing(self):
        for arguments, option in (((), "--key-file"), (("--key-file", self.folder.file("key", KEY)), "--password-file")):
            # A session of its own has no terminal.
            done = subprocess.run([e2e.PROGRAM, "keys", "import", *arguments], env=e2e.clean_environment(), capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, start_new_session=True, timeout=60)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn(option, done.stderr)


if __name__ == "__main__":
    e2e.main()
