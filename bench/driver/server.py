"""A private PostgreSQL server: a fresh cluster in the bench's own directory, on a free loopback port, fsync on."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import time

from driver import processes

SUPERUSER = "postgres"
ROLE = "bench"
START_LIMIT_S = 60
START_TRIES = 3
STATEMENT_LIMIT_S = 120

# A measurement must not meet a checkpoint by chance: the bench makes one before each measurement instead.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "min_wal_size": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Owns the cluster's directory and the server process; `stop` ends the one, the bench removes the other."""

    def __init__(self, binaries, directory, run_as):
        self.binaries = pathlib.Path(binaries)
        self.directory = pathlib.Path(directory) / "postgres"
        self.run_as = run_as if os.geteuid() == 0 else None
        self.port = None
        self._process = None

    def binary(self, name):
        return str(self.binaries / name)

    def _as_server_user(self, command):
        """PostgreSQL refuses to run as root; the death signal covers a bench that is killed outright."""
        identity = []
        if self.run_as:
            user = pwd.getpwnam(self.run_as)
            identity = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--init-groups"]
        return ["setpriv", *identity, "--pdeathsig", "INT", "--", *command]

    def start(self):
        self.directory.mkdir(mode=0o700)
        if self.run_as:
            shutil.chown(self.directory, self.run_as)
        cluster = self.directory / "cluster"
        initdb = [self.binary("initdb"), "-D", str(cluster), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
                  "--locale=C.UTF-8"]
        processes.run(self._as_server_user(initdb), "initdb", STATEMENT_LIMIT_S, cwd=self.directory)
        for attempt in range(1, START_TRIES + 1):
            if self._try_start(cluster):
                break
            if attempt == START_TRIES:
                raise processes.Failed(f"PostgreSQL did not start: {self._last_log_line()}")
        self.sql("postgres", f"CREATE ROLE {ROLE} LOGIN")

    def _try_start(self, cluster):
        """False where the server ended at once, most likely because another process took the port."""
        self.port = _free_port()
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.directory)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(self.directory / "log", "ab") as log:
            command = self._as_server_user([self.binary("postgres"), "-D", str(cluster), *flags])
            self._process = processes.start(command, stdout=log, stderr=log, cwd=self.directory)
        ready = [self.binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                processes.run(ready, "pg_isready", STATEMENT_LIMIT_S)
                return True
            except processes.Failed:
                time.sleep(0.05)
        self.stop()
        return False

    def _last_log_line(self):
        lines = (self.directory / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "its log is empty"

    def stop(self):
        if self._process:
            processes.end(self._process, signal.SIGINT)
            self._process = None

    def url(self, database, port=None):
        """`port`: of a proxy before the server."""
        return f"postgresql://{ROLE}@127.0.0.1:{port or self.port}/{database}"

    def sql(self, database, *statements, limit_s=STATEMENT_LIMIT_S):
        """Runs the statements one by one as the superuser; returns the rows as text, columns separated by |."""
        command = [self.binary("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
                   "-p", str(self.port), "-U", SUPERUSER, "-d", database]
        for statement in statements:
            command += ["-c", statement]
        return processes.run(command, "psql", limit_s).strip()

    def create_database(self, name, template="template1", strategy="wal_log", limit_s=STATEMENT_LIMIT_S):
        """`wal_log` is quicker for a small template, `file_copy` for a large one."""
        statement = f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} STRATEGY {strategy}"
        self.sql("postgres", statement, limit_s=limit_s)

    def drop_database(self, name):
        self.sql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def checkpoint(self):
        self.sql("postgres", "CHECKPOINT")
