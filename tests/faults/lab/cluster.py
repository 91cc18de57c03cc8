"""Clusters of the fault lab: real services that a supervisor starts again, on a real store, and the verdict about a run."""

import atexit
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

import e2e_support as e2e
from clients import KEYS, ask_for_other_data
from ledger import Duty, Ledger
from postgres_proxy import PostgresProxy
from service_support import Service

STUCK_AGE_S = 8.0
SETTINGS = ["--max-stuck-duties-age-ms", "8000", "--attempt-timeout-ms", "5000", "--signer-call-timeout-ms", "2000",
            "--signing-timeout-ms", "1500", "--polling-interval-ms", "50", "--pool-max", "4"]
# The clean-up of stuck rows goes round four times in one stuck-duty age.
CLEANED_WITHIN_S = STUCK_AGE_S * 1.25 + 1
HOSTILE_DUTIES = 1500
STORE_UNREACHABLE = 6
# With a load on it a cluster whose store can be written signs more often.
SIGNS_WITHIN_S = 0.5
# A program that was built with a sanitizer minds a preloaded library otherwise.
PRELOADED = {"ASAN_OPTIONS": "verify_asan_link_order=0"}


@dataclass
class Report:
    scenario: str
    attempts: int = 0
    signatures: int = 0
    refusals: int = 0
    misses: int = 0
    longest_gap_s: float = 0.0
    problems: list = field(default_factory=list)
    known_limits: list = field(default_factory=list)  # what happened as docs/safety.md says it may
    notes: list = field(default_factory=list)


# ---- nodes


class Node:
    """A service with a supervisor that starts it again when it ends, as systemd does."""

    def __init__(self, cluster, name, arguments, *, restarts=True, allowed_exits=(), environment=None, first_environment=None, **options):
        """`first_environment`: of the first process only. `allowed_exits`: beside those that follow from a fault."""
        self.cluster, self.name, self.arguments, self.options = cluster, name, arguments, options
        self.environment, self.first_environment = environment or {}, first_environment or {}
        self.restarts, self.allowed_exits = restarts, allowed_exits
        self.proxies = []
        self.service = None
        self.ended = None
        self.address = None
        self.exits = []
        self.is_ending = False
        self._faults = 0
        self._last_fault = float("-inf")
        self._began = 0.0
        self._killed = False
        self._stay_down = threading.Event()
        self._guard = threading.RLock()
        self.supervisor = threading.Thread(target=self._supervise, daemon=True)

    def start(self):
        self.supervisor.start()
        return self

    def _supervise(self):
        while not self.is_ending:
            if self._stay_down.is_set():
                time.sleep(0.02)
                continue
            with self._guard:
                # Asked again under the lock that kill() takes: what starts now, it kills.
                if self._stay_down.is_set():
                    continue
                self._killed = False
                self._began = time.monotonic()
                environment = PRELOADED | self.environment | (self.first_environment if not self.exits else {})
                self.service = Service(self.cluster.folder.path, *SETTINGS, *self.arguments, name=self.name, wait=False,
                                       environment=environment, **self.options)
            try:
                addresses = self.service.wait_for("listening", timeout=60)["on"]
                self._require_preloaded(environment)
                self.address = addresses.split(", ")[0]
                self.cluster.note_liveness()
            except AssertionError:
                pass
            self.service.process.wait()
            self.address = None
            self.ended = self.service
            self.cluster.note_liveness()
            self._judge_exit()
            if not self.restarts:
                return
            time.sleep(0.2)

    def _require_preloaded(self, environment):
        """What breaks the clock or the disk of a process does nothing where the loader has not found it."""
        if library := environment.get("LD_PRELOAD"):
            try:
                loaded = Path(f"/proc/{self.service.process.pid}/maps").read_text()
            except (OSError, ProcessLookupError):
                return
            self.cluster.must(not loaded or os.path.realpath(library) in loaded, f"{self.name} runs without {library}")

    def _could_miss_the_store(self):
        """Whether something was in the way between the process and the store since it began."""
        return (self._faults > 0 or self._last_fault > self._began or self.cluster.had_store_fault_since(self._began))

    def _judge_exit(self):
        code = self.service.process.returncode
        self.service.reader.join(timeout=5)
        self.service.process.stdout.close()
        self.service.process.stderr.close()
        self.exits.append(code)
        was_told = (code == -signal.SIGKILL and self._killed) or (code == 0 and self.is_ending) or code in self.allowed_exits
        was_told = was_told or (code == STORE_UNREACHABLE and self._could_miss_the_store())
        log = self.service.log()
        if not was_told or "Sanitizer" in log or "assertion" in log.lower():
            self.cluster.problems.append(f"{self.name} ended with {code}: {log[-1500:]}")

    @property
    def is_live(self):
        return self.address is not None and self._faults == 0

    @contextmanager
    def fault(self):
        """The node cannot sign while the block lasts."""
        self._add_fault(1)
        try:
            yield
        finally:
            self._add_fault(-1)

    def _add_fault(self, count):
        with self._guard:
            self._faults += count
            self._last_fault = time.monotonic()
        self.cluster.note_liveness()

    def kill(self):
        with self._guard:
            service = self.service
            if service and service.process.poll() is None:
                self._killed = True
                service.process.send_signal(signal.SIGKILL)
        # Until the supervisor has seen it, the node would be taken for live.
        deadline = time.monotonic() + 10
        while service and self.ended is not service and time.monotonic() < deadline:
            time.sleep(0.005)

    @contextmanager
    def killed(self):
        """Dead while the block lasts."""
        self._stay_down.set()
        self.kill()
        try:
            yield
        finally:
            self._stay_down.clear()

    @contextmanager
    def paused(self):
        with self.fault():
            process = self.service.process
            process.send_signal(signal.SIGSTOP)
            try:
                yield
            finally:
                process.send_signal(signal.SIGCONT)

    def wait_until_live(self, timeout=40):
        give_up_at = time.monotonic() + timeout
        while not self.is_live:
            assert time.monotonic() < give_up_at, f"{self.name} does not start: {self.service and self.service.log()[-1500:]}"
            time.sleep(0.02)

    def end(self):
        self.is_ending = True
        self._stay_down.clear()
        with self._guard:
            if self.service and self.service.process.poll() is None:
                self.service.process.send_signal(signal.SIGTERM)
        if self.supervisor.ident:
            self.supervisor.join(timeout=30)
            if self.supervisor.is_alive():
                self.cluster.problems.append(f"{self.name} does not end: {self.service.log()[-1500:]}")
                self.kill()


class Cluster:
    """Some nodes with the same keys, what their clients got, and the verdict. A subclass has the store."""

    def __init__(self, lab, remote=False):
        """`remote`: keys at a remote signer, so that duties are claimed and then recorded."""
        self.lab = lab
        self.folder = e2e.Folder()
        self.ledger = Ledger()
        self.nodes = []
        self.problems = []
        self.known_limits = []
        self.notes = []
        self.slot = 0
        self.validators = lab.validators
        self._store_faults = 0
        self._last_store_fault = float("-inf")
        self._liveness = threading.Lock()
        self.vault = Vault(self) if remote else None
        self.keys = self.vault.accounts(lab.validators) if remote else KEYS

    def note_liveness(self):
        with self._liveness:
            self.ledger.some_node_can_sign(self._store_faults == 0 and any(node.is_live for node in self.nodes))

    @contextmanager
    def store_fault(self):
        """The store cannot be written while the block lasts."""
        self._add_store_fault(1)
        try:
            yield
        finally:
            self._add_store_fault(-1)

    def _add_store_fault(self, count):
        with self._liveness:
            self._store_faults += count
            self._last_store_fault = time.monotonic()
        self.note_liveness()

    def had_store_fault_since(self, moment):
        with self._liveness:
            return self._store_faults > 0 or self._last_store_fault > moment

    @contextmanager
    def must_stop_signing(self):
        """Asks that the fault around this block is one: at the end of the block nothing has been signed for a while."""
        began = time.monotonic()
        yield
        quiet_s = time.monotonic() - max(began, self.ledger.last_signed_at())
        self.must(quiet_s > SIGNS_WITHIN_S, f"the store could be written: a signature came {quiet_s:.1f} s before the end of its fault")

    def add(self, node):
        self.nodes.append(node)
        return node.start()

    def wait_until_live(self):
        for node in self.nodes:
            if node.restarts:
                node.wait_until_live()

    def rows(self):
        """duty: (status, message hash) of all rows."""
        raise NotImplementedError

    def close_store(self):
        pass

    def judge(self, *, known_limit=""):
        """Waits for what the store still has to do, asks for other data, ends the nodes and says what was wrong.

        `known_limit`: why this scenario may end with two messages or forgotten rows, which then are no problem."""
        ended_at = time.monotonic()
        missed = self.ledger.missed()
        self.wait_until_live()
        # An attempt with other data replaces a row that its holder has left: what clean-up does with those is judged first.
        signing = self._signing_rows()
        self._ask_for_other_data(lambda duty: duty not in signing)
        if self._signing_rows_end(ended_at):
            self._ask_for_other_data(lambda duty: duty in signing)
            self._signing_rows_end(time.monotonic())
        rows = self.rows()
        for node in self.nodes:
            node.end()
        said = self.known_limits if known_limit else self.problems
        why = f", a known limit: {known_limit}" if known_limit else ""
        self._say(said, f"duties with two messages{why}", self.ledger.two_messages())
        self._say(said, f"duties whose released message no row has{why}", self.ledger.not_recorded(rows))
        self._say(self.problems, "duties with signatures that are not of the message", self.ledger.forged())
        waited, duty = self.ledger.worst
        self._say(self.problems, f"missed duties (the longest wait while a node could sign: {waited:.1f} s, {duty})", missed)
        for duty in missed[:3]:
            self.notes.append(f"{duty} waited: " + "; ".join(f"{count} times: {reason}" for reason, count in self.ledger.reasons(duty)[:6]))
        if again := self.ledger.other_answers:
            self.notes.append("asked again after: " + ", ".join(f"{kind} {count}" for kind, count in again.most_common()))
        return Report("", self.ledger.attempts, self.ledger.signatures, sum(self.ledger.refusals.values()), len(missed),
                      self.ledger.longest_gap_s(), self.problems, self.known_limits, self.notes)

    def must(self, holds, problem):
        """Asks that the lab has done what the scenario says."""
        if not holds:
            self.problems.append(problem)

    @staticmethod
    def _say(said, what, duties):
        if duties:
            said.append(f"{len(duties)} {what}: {', '.join(map(str, duties[:3]))}")

    def _ask_for_other_data(self, choice):
        duties = list(filter(choice, self.ledger.duties()))
        if len(duties) > HOSTILE_DUTIES:
            duties = self.lab.random.sample(duties, HOSTILE_DUTIES)
        live = [node for node in self.nodes if node.is_live]
        for number, node in enumerate(live):
            try:
                ask_for_other_data(self.ledger, node.address, duties[number::len(live)])
            except (OSError, ValueError) as error:
                self.problems.append(f"{node.name} does not answer after the faults: {error!r}")

    def _signing_rows(self):
        return {duty for duty, (status, _) in self.rows().items() if status == "signing"}

    def _signing_rows_end(self, ended_at):
        while stuck := sorted(self._signing_rows()):
            if time.monotonic() > ended_at + CLEANED_WITHIN_S:
                self._say(self.problems, "rows are *signing* after the stuck-duty age", stuck)
                return False
            time.sleep(0.2)
        return True

    def close(self):
        for node in self.nodes:
            node.end()
            for proxy in node.proxies:
                proxy.close()
        self.close_store()
        if self.vault:
            self.vault.service.process.send_signal(signal.SIGCONT)
            self.vault.service.stop()
        self.folder.remove()


@contextmanager
def ballast(folder):
    """Fills the file system of a folder to its last byte."""
    path = folder / "ballast"
    with open(path, "wb", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    try:
        yield
    finally:
        path.unlink()


# ---- PostgreSQL


class LabServer(e2e.PostgresServer):
    """A server that can be killed, crowded, filled and promoted."""

    def __init__(self, *settings, standby_of=None, name="standby", tmpfs_mb=None, variables=None, initdb=()):
        self.settings, self.standby_of, self.name = settings, standby_of, name
        self.tmpfs_mb, self.variables, self.initdb = tmpfs_mb, variables or {}, initdb
        super().__init__()
        atexit.register(self.remove)

    @property
    def data(self):
        return self.folder.path / "data"

    def make_data(self):
        if self.tmpfs_mb:
            self.data.mkdir(mode=0o700)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.tmpfs_mb}m", "fault-lab", self.data], check=True)
            shutil.chown(self.data, "postgres", "postgres")
            self.data.chmod(0o700)
        if self.standby_of:
            self._call("pg_basebackup", "--pgdata", self.data, "--dbname", f"{self.standby_of.url()}?application_name={self.name}",
                       "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--wal-method=stream")
        else:
            super().make_data(*self.initdb)
        with open(self.data / "postgresql.conf", "a") as file:
            file.write("\n".join(["", "superuser_reserved_connections = 0", "shared_buffers = 32MB", "wal_retrieve_retry_interval = 100ms",
                                  "dynamic_shared_memory_type = mmap",
                                  *self.settings, ""]))

    def environment(self):
        return super().environment() | self.variables

    def processes(self):
        try:
            first = int((self.data / "postmaster.pid").read_text().split()[0])
            children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        except (OSError, IndexError, ValueError):
            return []
        return [first, *map(int, children)]

    def is_running(self):
        processes = self.processes()
        return bool(processes) and "postgres" in Path(f"/proc/{processes[0]}/cmdline").read_text()

    def send(self, number):
        """To all processes, the parent first, so that it starts no others meanwhile."""
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def kill(self):
        first = self.processes()[0]
        os.kill(first, signal.SIGSTOP)
        self.send(signal.SIGKILL)
        while Path(f"/proc/{first}").exists():
            time.sleep(0.01)

    @contextmanager
    def frozen(self):
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def session(self, database="postgres", **more):
        session = psycopg2.connect(self.url(database), connect_timeout=10, options="-c default_transaction_read_only=off", **more)
        session.autocommit = True
        return session

    def ask(self, text, database="postgres"):
        session = self.session(database)
        try:
            with session.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall() if cursor.description else []
        finally:
            session.close()

    def set(self, **settings):
        for name, value in settings.items():
            self.ask(f"alter system set {name} = '{value}'" if value is not None else f"alter system reset {name}")
        self.ask("select pg_reload_conf()")

    def wait_for(self, question, timeout=20, database="postgres"):
        give_up_at = time.monotonic() + timeout
        while not self.ask(question, database)[0][0]:
            assert time.monotonic() < give_up_at, f"does not come true: {question}"
            time.sleep(0.02)

    def remove(self):
        self.send(signal.SIGCONT)
        if self.is_running():
            self.stop("immediate")
        elif (left := self.data / "postmaster.pid").exists():
            # A server that was killed leaves a segment of shared memory, whose number stands here.
            subprocess.run(["ipcrm", "-m", left.read_text().splitlines()[6].split()[1]], check=False, stderr=subprocess.DEVNULL)
        if os.path.ismount(self.data):
            subprocess.run(["umount", "--lazy", self.data], check=False)
        self.folder.remove()


class PostgresCluster(Cluster):
    """Nodes on a PostgreSQL server of their own, each behind proxies of its own."""

    def __init__(self, lab, *, nodes=3, remote=False, settings=(), server=None, standby=None, environments=()):
        """`standby`: name of a streaming standby; `environments`: further variables of each node."""
        super().__init__(lab, remote)
        self.server = self.standby = None
        self.has_failed_over = False
        try:
            self.server = server or LabServer(*settings)
            self.database = self.server.new_database().rsplit("/", 1)[1]
            self.standby = LabServer(*settings, standby_of=self.server, name=standby) if standby else None
            for number in range(nodes):
                self.add_node(f"node-{number + 1}", environment=dict(environments[number]) if environments else None)
            self.wait_until_live()
        except BaseException:
            self.close()
            raise

    def add_node(self, name, *, node_id=None, **options):
        proxies = [PostgresProxy(server.port) for server in (self.server, self.standby) if server]
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in proxies)
        url = f"postgresql://postgres@{hosts}/{self.database}?target_session_attrs=read-write&connect_timeout=2"
        node = Node(self, name, [], database=url, node=node_id or name, keys=self.keys, **options)
        node.proxies = proxies
        return self.add(node)

    def ask(self, text):
        return self.server.ask(text, self.database)

    def rows(self):
        found = self.ask("select validator_address, slot, duty_type, status, message_hash from validator_duties")
        return {Duty(validator, slot, duty_type): (status, message) for validator, slot, duty_type, status, message in found}

    def must_have_logged(self, pattern, problem):
        """Asks that the server has said so since it was made."""
        self.must(re.search(pattern, (self.server.folder.path / "log").read_text()), problem)

    def must_be_ahead(self, seconds):
        ahead = self.ask("select extract(epoch from clock_timestamp())")[0][0]
        self.must(float(ahead) - time.time() > seconds / 2, f"the server's clock is {float(ahead) - time.time():.0f} s ahead, must be {seconds} s")

    def may_fail_over(self):
        return self.standby is not None and not self.has_failed_over

    def promote_standby(self):
        """The standby is the server from now on. Returns the former one."""
        self.standby.ask("select pg_promote()")
        self.standby.wait_for("select not pg_is_in_recovery()")
        self.server, self.standby = self.standby, self.server
        return self.standby

    def close_store(self):
        for server in (self.standby, self.server):
            if server:
                server.remove()


class Vault:
    """A remote signer: another service, which signs for those who have its token, and can stand still."""

    def __init__(self, cluster):
        made = json.loads(e2e.run("token", "--name", "nodes", "--rights", "sign,unprotected", "--json").stdout)
        self.service = Service(cluster.folder.path, name="vault", keys=KEYS, clients=made["line"] + "\n")
        self.url = f"http://{self.service.addresses[0]}/{made['token']}"

    def accounts(self, validators):
        return [{"address": validator, "remoteSignerUrl": self.url} for validator in validators]

    @contextmanager
    def paused(self):
        self.service.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.service.process.send_signal(signal.SIGCONT)


# ---- SQLite


class SqliteCluster(Cluster):
    """Nodes on one file, or each on a file of its own."""

    def __init__(self, lab, *, nodes=1, remote=False, shared=True, folder=None, **options):
        super().__init__(lab, remote)
        self.store_folder = Path(folder or self.folder.path / "store").resolve()
        self.store_folder.mkdir(exist_ok=True, mode=0o700)
        try:
            for number in range(nodes):
                self.add_node(f"node-{number + 1}", "signer.db" if shared else f"signer-{number + 1}.db", **options)
            self.wait_until_live()
        except BaseException:
            self.close()
            raise

    def add_node(self, name, file, **options):
        return self.add(Node(self, name, [], database=f"sqlite:{self.store_folder / file}", node=name, keys=self.keys, **options))

    @property
    def file(self):
        return self.store_folder / "signer.db"

    def rows(self):
        return {duty: row for path in self.store_folder.glob("*.db") for duty, row in rows_of(path).items()}


def rows_of(path):
    with sqlite3.connect(path, timeout=10) as session:
        found = session.execute("select validator_address, slot, duty_type, status, message_hash from validator_duties").fetchall()
    session.close()
    return {Duty(validator, int(slot), duty_type): (status, message) for validator, slot, duty_type, status, message in found}
