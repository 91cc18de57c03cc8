#!/usr/bin/env python3
"""Keys and passwords are seen nowhere: not in output, not in the process list, not in the environment of a running process."""

import socket
import time
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import HASH, ROLLUP

KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
PASSWORD = "correct-horse-battery"


class SilentServer:
    """Accepts connections and says nothing, so that a client waits."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        return self

    def __exit__(self, *_):
        self.socket.close()

    def url(self):
        return f"postgresql://signer:{PASSWORD}@127.0.0.1:{self.socket.getsockname()[1]}/ha"


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.key_file = cls.folder.file("key", KEY)

    @classmethod
    def tearDownClass(cls):
        cls.folder.remove()

    def arguments(self, database, *more, message_hash=HASH):
        return ["sign", "--database-url", database, "--node-id", "node-1", "--rollup", ROLLUP, "--duty-type", "ATTESTATION",
                "--slot", "5", "--message-hash", message_hash, *more]

    def assert_hidden(self, text):
        lower = text.lower()
        self.assertNotIn(KEY[2:], lower)
        self.assertNotIn(KEY[2:34], lower)
        self.assertNotIn(PASSWORD, text)

    def test_in_no_output(self):
        database = f"sqlite:{self.folder.path}/signer.db"
        open_file = self.folder.file("open", KEY, 0o644)
        damaged = self.folder.file("damaged", KEY[:-1] + "g")
        long = self.folder.file("long", KEY + KEY[2:])
        silent_key = ["--key-file", self.key_file, "--attempt-timeout-ms", "300"]
        env = e2e.clean_environment(GOOD_KEY=KEY, DAMAGED_KEY=KEY[:-1] + "g")
        with SilentServer() as server:
            runs = [self.arguments(database, "--key-file", self.key_file),
                    self.arguments(database, "--key-file", self.key_file),
                    self.arguments(database, "--key-file", self.key_file, message_hash="0x" + "22" * 32),
                    self.arguments(database, "--key-file", open_file),
                    self.arguments(database, "--key-file", damaged),
                    self.arguments(database, "--key-file", long),
                    # A key where the name of what holds it belongs.
                    self.arguments(database, "--key-file", KEY),
                    self.arguments(database, "--key-env", KEY),
                    self.arguments(database, "--key-env", KEY[2:]),
                    self.arguments(database, "--key-env", "GOOD_KEY"),
                    self.arguments(database, "--key-env", "DAMAGED_KEY"),
                    self.arguments(server.url(), *silent_key),
                    self.arguments(f"postgresql://signer:{PASSWORD}@127.0.0.1:1/ha", *silent_key),
                    self.arguments(f"postgresql://signer:{PASSWORD}@no-such-host.invalid/ha", *silent_key),
                    self.arguments(f"postgresql://127.0.0.1:1/ha?user=signer&password={PASSWORD}", *silent_key),
                    self.arguments(f"postgresql://signer:{PASSWORD}@127.0.0.1:port/ha", *silent_key),
                    self.arguments(f"postgresql://signer:{PASSWORD}@127.0.0.1/ha?no_such_option=1", *silent_key),
                    self.arguments(f"postgres://signer:{PASSWORD}@[::1/ha", *silent_key),
                    self.arguments(f"mysql://signer:{PASSWORD}@127.0.0.1/ha", *silent_key)]
            for arguments in runs:
                for json in ([], ["--json"]):
                    done = e2e.run(*arguments, *json, env=env)
                    self.assert_hidden(done.stdout + done.stderr)

    def test_in_no_list_of_processes_and_no_environment(self):
        env = e2e.clean_environment(ATTESTER_KEY=KEY)
        with SilentServer() as server:
            process = e2e.start(*self.arguments(server.url(), "--key-env", "ATTESTER_KEY"), env=env)
            try:
                # By the time it asks the database it has read the key.
                server.socket.accept()
                command_line = Path(f"/proc/{process.pid}/cmdline").read_text()
                self.assertIn("--database-url", command_line)
                self.assert_hidden(command_line)
                try:
                    self.assert_hidden(Path(f"/proc/{process.pid}/environ").read_text())
                except PermissionError:
                    pass  # That is better still.
            finally:
                process.kill()
                process.communicate()

    def test_in_no_process_of_the_demonstration(self):
        demo = e2e.start("--validators", "2", "--slots", "4", "--keep", program=e2e.demonstration(),
                         env=e2e.clean_environment(TMPDIR=str(self.folder.path)))
        lines = set()
        while demo.poll() is None:
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    parent = process.joinpath("stat").read_text().rpartition(") ")[2].split()[1]
                    text = process.joinpath("cmdline").read_text()
                except OSError:
                    continue
                # Other tests start programs of the same name at the same time.
                if int(parent) == demo.pid and "\0node\0" in text:
                    lines.add(text)
            time.sleep(0.02)
        output, _ = demo.communicate()
        self.assertEqual(demo.returncode, 0, output)
        self.assertEqual(lines, {"ha-signer-demo\0node\0"})


if __name__ == "__main__":
    e2e.main()
