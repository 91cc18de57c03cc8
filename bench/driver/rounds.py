"""The interleaved rounds: every workload on every rival, each measurement on a fresh database of its own."""

import contextlib
import pathlib
import sys

from driver import disk, processes
from driver.delay import DelayingProxy
from driver.table import JOURNAL, OURS, PGBENCH_MANY, PGBENCH_ONE, PUBLISHED, SQLITE, SQLITE_JOURNAL, SQLITE_TWO_STEPS, TWO_STEPS

WORKLOADS = ("serial", "delayed", "inflight", "inflight-real", "slot-noop", "slot-real", "race", "waiter", "start", "service-one", "service-many",
             "service-fair", "service-hashing")
DUTIES = {"serial": 1000, "delayed": 200, "inflight": 20_000, "inflight-real": 20_000, "waiter": 50, "service-one": 1000,
          "service-many": 32_000, "service-fair": 2000}
QUICK_DUTIES = {"serial": 200, "delayed": 50, "inflight": 3000, "inflight-real": 3000, "waiter": 10, "service-one": 200,
                "service-many": 8000, "service-fair": 400}
DELAY_MS = 5  # of the workload "delayed", each way
ARGUMENTS = {
    "inflight": {"in-flight": 1000, "pool": 10},
    "inflight-real": {"in-flight": 1000, "keys": "real", "pool": 10},
    "slot-noop": {"keys": "noop", "pool": 10},
    "slot-real": {"keys": "real", "pool": 10},
    "race": {"pool": 10},
    "start": {"pool": 2},
    "service-one": {"pool": 10},
    "service-many": {"pool": 10},
    "service-fair": {"pool": 10},
}
PGBENCH_CLIENTS = {PGBENCH_ONE: 1, PGBENCH_MANY[0]: 10, PGBENCH_MANY[1]: 50}
STEPS = {TWO_STEPS: "two", SQLITE_TWO_STEPS: "two"}  # the others: the program's own choice
OURS_ON = {"postgres": (OURS, TWO_STEPS, JOURNAL), "sqlite": (SQLITE, SQLITE_TWO_STEPS, SQLITE_JOURNAL)}
JOURNALED = (JOURNAL, SQLITE_JOURNAL)
WHO = {
    "serial": (*OURS_ON["postgres"], *OURS_ON["sqlite"], PUBLISHED, PGBENCH_ONE),
    "delayed": (OURS, TWO_STEPS, PUBLISHED),
    "inflight": (*OURS_ON["postgres"], *OURS_ON["sqlite"], PUBLISHED, *PGBENCH_MANY),
    "inflight-real": (OURS, TWO_STEPS),
    "slot-noop": (OURS, SQLITE, PUBLISHED),
    "slot-real": (OURS, PUBLISHED),
    "race": (OURS, SQLITE, PUBLISHED),
    "waiter": (OURS, PUBLISHED),
    "start": (OURS, PUBLISHED),
    "service-one": (OURS,),
    "service-many": (OURS,),
    "service-fair": (OURS, SQLITE),
    "service-hashing": (OURS,),
}


def program_workload(workload):
    """The program's name of it: it takes the kind of keys as an argument, and the service's workloads under their own names.
    The delay is ours: the program gets the address of the proxy."""
    if workload == "delayed":
        return "serial"
    return workload if workload.startswith("service-") else workload.split("-")[0]


def say(line):
    print(line, file=sys.stderr, flush=True)


class Rounds:
    """Collects samples and failures. `rivals` maps a name of table.py to a thing with `measure`."""

    def __init__(self, server, directory, rivals, quick):
        self._server = server
        self._directory = pathlib.Path(directory)
        self._rivals = rivals
        self._duties = QUICK_DUTIES if quick else DUTIES
        self._databases = 0
        self.usual_fsync_ms = disk.usual_fsync_ms(directory)
        self.samples = []
        self.failures = []

    @staticmethod
    def template(rival):
        return "template_hasigner" if rival in OURS_ON["postgres"] else "template_published"

    def prepare(self):
        """Migrates one template database for each schema, each with its owner's own tool."""
        for rival in (OURS, PUBLISHED):
            if rival in self._rivals:
                self._server.create_database(self.template(rival))
                self._rivals[rival].migrate(self._server.url(self.template(rival)))

    def run(self, workloads, count):
        for number in range(1, count + 1):
            for workload in workloads:
                contestants = [rival for rival in WHO[workload] if rival in self._rivals]
                first = number % max(1, len(contestants))  # No rival always comes right after the same other.
                for rival in contestants[first:] + contestants[:first]:
                    self.record(f"round {number}/{count}", number, workload, rival, lambda: self._measure(workload, rival))

    def record(self, where, number, workload, rival, measure):
        try:
            figures = measure()
        except processes.Failed as failure:
            self.failures.append({"round": number, "workload": workload, "rival": rival, "reason": str(failure)})
            say(f"{where} {workload} {rival}: FAILED: {failure}")
            return
        self.samples.append({"round": number, "workload": workload, "rival": rival, "figures": figures})
        shown = {name: value for name, value in figures.items() if isinstance(value, (int, float))}
        say(f"{where} {workload} {rival}: " + " ".join(f"{name}={value:g}" for name, value in shown.items()))

    def quiet(self):
        """Before a measurement: nothing of the server's is left to be written, and the disk is as fast as at first."""
        self._server.checkpoint()
        if not disk.settle(self._directory, self.usual_fsync_ms):
            say("the disk is still busy; measuring all the same")

    def _arguments(self, workload, rival):
        duties = {"duties": self._duties[workload]} if workload in self._duties else {}
        steps = {"steps": STEPS[rival]} if rival in STEPS else {}
        return {**duties, **ARGUMENTS.get(workload, {}), **steps}

    def _measure(self, workload, rival):
        self._databases += 1
        database = f"bench_{self._databases}"
        if rival in OURS_ON["sqlite"]:
            return self._measure_sqlite(workload, rival, self._directory / f"{database}.sqlite")
        self._server.create_database(database, self.template(rival))
        try:
            self.quiet()
            if rival in PGBENCH_CLIENTS:
                return self._rivals[rival].measure(workload, database, PGBENCH_CLIENTS[rival], self._duties[workload])
            with self._port_for(workload) as port:
                return self._measure_program(workload, rival, self._server.url(database, port))
        finally:
            self._server.drop_database(database)

    @contextlib.contextmanager
    def _port_for(self, workload):
        if workload != "delayed":
            yield self._server.port
            return
        with DelayingProxy(self._server.port, DELAY_MS) as proxy:
            yield proxy.port

    def _measure_program(self, workload, rival, url):
        arguments = self._arguments(workload, rival)
        if rival not in JOURNALED:
            return self._rivals[rival].measure(program_workload(workload), url, **arguments)
        journal = self._directory / f"journal_{self._databases}"
        try:
            return self._rivals[rival].measure(program_workload(workload), url, journal=journal, **arguments)
        finally:
            for leftover in self._directory.glob(f"{journal.name}*"):
                leftover.unlink()

    def _measure_sqlite(self, workload, rival, file):
        self.quiet()
        try:
            return self._measure_program(workload, rival, f"sqlite:{file}")
        finally:
            for leftover in file.parent.glob(f"{file.name}*"):
                leftover.unlink()
