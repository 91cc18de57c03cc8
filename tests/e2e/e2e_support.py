"""What the end-to-end tests share: the program, throw-away databases, and nodes that can be told what to do."""

import atexit
import os
import pty
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

PROGRAM = ""
ROLLUP = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
# Private key 1 and its address, as every Ethereum library gives it.
KEY = "0x" + "00" * 31 + "01"
ADDRESS = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
HASH = "0x" + "11" * 32
OTHER_HASH = "0x" + "22" * 32

SIGNED, FAILURE, USAGE, ALREADY_SIGNED, SLASHING, IN_DOUBT, UNAVAILABLE, WATERMARK = range(8)


def main():
    """Runs the tests of the calling file: python3 x_test.py PROGRAM [unittest arguments]."""
    global PROGRAM
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} PROGRAM [TEST…]")
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    # This module is known by two names while the test file is the main program.
    sys.modules["e2e_support"].PROGRAM = PROGRAM
    unittest.main(module="__main__", verbosity=2)


def clean_environment(**variables):
    """An environment in which no setting of the machine reaches the program."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("VALIDATOR_", "HA_SIGNER_", "PG", "ROLLUP_", "DATABASE_", "DATA_", "KEY_STORE_"))}
    return kept | variables


def demonstration():
    """The program of examples/demo, which is built beside the signer."""
    return PROGRAM + "-demo"


def node_store():
    """The program of tests/support that writes what an Aztec node has on its disk."""
    return str(Path(PROGRAM).parent / "bin" / "node_store")


def run(*arguments, program=None, env=None, stdin=None, timeout=90):
    return subprocess.run([program or PROGRAM, *arguments], env=env or clean_environment(), input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)


def signature_of(message_hash, key=KEY):
    """The signature of the hash itself, by a private key."""
    made = run("sign", "--key-env", "SIGNS", "--duty-type", "AUTH_REQUEST", "--slot", "1", "--message-hash", message_hash, env=clean_environment(SIGNS=key))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def start(*arguments, program=None, env=None):
    return subprocess.Popen([program or PROGRAM, *arguments], env=env or clean_environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Terminal:
    """A command with a person at a terminal. What it prints to standard output is not read."""

    def __init__(self, command):
        self.controller, terminal = pty.openpty()
        self.process = subprocess.Popen(command, stdin=terminal, stdout=subprocess.DEVNULL, stderr=terminal, env=clean_environment())
        os.close(terminal)

    def read_until(self, text):
        said = b""
        while text.encode() not in said:
            said += os.read(self.controller, 4096)
        return said.decode()

    def write(self, text):
        os.write(self.controller, text.encode())

    def wait(self):
        return self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.controller)


class Folder:
    """A temporary folder that the user postgres may pass through."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="ha-signer-e2e-"))
        self.path.chmod(0o711)
        atexit.register(self.remove)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name, content, mode=0o600):
        path = self.path / name
        path.write_text(content)
        path.chmod(mode)
        return str(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PostgresServer:
    """A PostgreSQL server of the test's own, run by the user postgres when the test is run by root."""

    def __init__(self, options="-c fsync=off"):
        self.options = options
        self.folder = Folder()
        self.port = free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.clients = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.programs = Path(os.environ.get("HASIGNER_PG_BINDIR", self.clients))
        if self.user:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder.path, account.pw_uid, account.pw_gid)
        self.make_data()
        self.databases = 0
        self.start()
        atexit.register(self.stop, "immediate")

    def make_data(self, *options):
        encoding = os.environ.get("HASIGNER_PG_ENCODING", "UTF8")
        self._call("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--locale=C", f"--encoding={encoding}",
                   "--pgdata", self.folder.path / "data", *options)

    def environment(self):
        """Of the server and of the programs that are its clients."""
        return clean_environment()

    def _call(self, program, *arguments):
        folder = self.programs if (self.programs / program).exists() else self.clients
        done = subprocess.run([folder / program, *arguments], user=self.user, group=self.user and "postgres",
                              extra_groups=[] if self.user else None, cwd=self.folder.path, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=60, env=self.environment())
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}")
        return done.stdout

    def start(self):
        options = f"-p {self.port} -k {self.folder.path} -c listen_addresses=127.0.0.1 {self.options}"
        self._call("pg_ctl", "start", "--wait", "--silent", "-D", self.folder.path / "data", "-l", self.folder.path / "log", "-o", options)

    def stop(self, mode="fast"):
        if (self.folder.path / "data" / "postmaster.pid").exists():
            self._call("pg_ctl", "stop", "--wait", "--silent", "-D", self.folder.path / "data", "-m", mode)

    def url(self, database="postgres", password=""):
        return f"postgresql://postgres{':' + password if password else ''}@127.0.0.1:{self.port}/{database}"

    def sql(self, text, database="postgres"):
        return self._call("psql", "--no-psqlrc", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", text).strip()

    def copy_data(self, target):
        """Copies the data of the running server, for a standby. pg_basebackup does not copy from a server that is newer than itself."""
        has_new_names = int(self.sql("show server_version_num")) >= 150000
        begin, end = ("pg_backup_start('copy', true)", "pg_backup_stop(false)") if has_new_names else (
            "pg_start_backup('copy', true, false)", "pg_stop_backup(false, false)")
        # Files may vanish meanwhile. What belongs to the user postgres is made by psql, which runs as that user.
        copy = (f"cp -a {self.folder.path}/data {target} 2>/dev/null; cd {target} && rm -rf postmaster.* pg_replslot/* && "
                "touch backup_label standby.signal")
        said = self._call("psql", "--no-psqlrc", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", "-d", self.url(), "-c", f"select {begin}",
                          "-c", f"\\! {copy}", "-c", f"select labelfile from {end}")
        (target / "backup_label").write_text(said[said.index("START WAL LOCATION"):])

    def new_database(self):
        """The URL of an empty database with the program's tables."""
        self.databases += 1
        name = f"test{self.databases}"
        self.sql(f"create database {name}")
        migrated = run("migrate", "up", "--database-url", self.url(name))
        assert migrated.returncode == 0, migrated.stderr
        return self.url(name)


_postgres = None


def postgres():
    """One server for all tests of a file; a test that stops it starts it again."""
    global _postgres
    if _postgres is None:
        _postgres = PostgresServer()
    return _postgres


class DatabaseCase(unittest.TestCase):
    """Tests that hold for every store; a subclass says which."""

    __test__ = False
    store = None

    @classmethod
    def setUpClass(cls):
        if cls.store is None:
            raise unittest.SkipTest("runs once for each store")
        cls.folder = Folder()
        cls.key_file = cls.folder.file("key", KEY + "\n")
        cls.files = 0

    @classmethod
    def tearDownClass(cls):
        cls.folder.remove()

    def setUp(self):
        self.database = self.new_database()

    def new_database(self):
        if self.store == "postgres":
            return postgres().new_database()
        type(self).files += 1
        return f"sqlite:{self.folder.path}/signer{self.files}.db"

    def arguments(self, command="sign", *, node="node-1", slot=5, message_hash=HASH, duty_type="ATTESTATION", database=None):
        who = ["--key-file", self.key_file] if command == "sign" else ["--address", ADDRESS]
        return [command, "--database-url", database or self.database, "--node-id", node, "--rollup", ROLLUP, *who,
                "--duty-type", duty_type, "--slot", str(slot), "--message-hash", message_hash]

    def sign(self, *more, **options):
        return run(*self.arguments("sign", **options), *more)

    def check(self, *more, **options):
        return run(*self.arguments("check", **options), *more)


class Node:
    """A signing node of its own process that does what the test tells it: the demonstration's node."""

    def __init__(self, database, node_id, *, key=KEY, slots=20):
        self.node_id = node_id
        self.events = []
        self.news = threading.Condition()
        self.process = subprocess.Popen([demonstration(), "node"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        env=clean_environment())
        self.tell(f"author {node_id} {secrets.token_hex(4)}", f"node-id {node_id}", f"database-url {database}", f"rollup {ROLLUP}",
                  f"slots {slots}", f"key {key}", "start")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.events.append((time.monotonic(), line.split()))
                self.news.notify_all()
        with self.news:
            self.events.append((time.monotonic(), ["ended"]))
            self.news.notify_all()

    def tell(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def slot(self, index, signing_takes_ms=0):
        self.tell(f"slot {index} {signing_takes_ms}")

    def wait(self, kind, count=1, timeout=30):
        """The first `count` events of a kind, each with its time; fails if they do not come."""
        give_up_at = time.monotonic() + timeout
        with self.news:
            while True:
                found = [event for event in self.events if event[1][0] == kind]
                if len(found) >= count:
                    return found[:count]
                left = give_up_at - time.monotonic()
                if left <= 0 or self.events and self.events[-1][1] == ["ended"]:
                    raise AssertionError(f"{self.node_id}: {len(found)} of {count} {kind}, last {self.events[-3:]}")
                self.news.wait(left)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        self.process.wait()
        return killed_at

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(timeout=20)
        self.reader.join(timeout=5)
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
