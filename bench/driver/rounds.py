"""The interleaved rounds: every workload on every rival, each measurement on a fresh database of its own."""

import pathlib
import sys

from driver import disk, processes
from driver.table import OURS, PGBENCH_MANY, PGBENCH_ONE, PUBLISHED, SQLITE

WORKLOADS = ("serial", "inflight", "slot-noop", "slot-real", "race", "waiter", "start", "service-one", "service-many")
DUTIES = {"serial": 1000, "inflight": 20_000, "waiter": 50, "service-one": 1000, "service-many": 20_000}
QUICK_DUTIES = {"serial": 200, "inflight": 3000, "waiter": 10, "service-one": 200, "service-many": 3000}
ARGUMENTS = {
    "inflight": {"in-flight": 1000, "pool": 10},
    "slot-noop": {"keys": "noop", "pool": 10},
    "slot-real": {"keys": "real", "pool": 10},
    "race": {"pool": 10},
    "start": {"pool": 2},
    "service-one": {"pool": 10},
    "service-many": {"pool": 10},
}
PGBENCH_CLIENTS = {PGBENCH_ONE: 1, PGBENCH_MANY[0]: 10, PGBENCH_MANY[1]: 50}
WHO = {
    "serial": (OURS, SQLITE, PUBLISHED, PGBENCH_ONE),
    "inflight": (OURS, SQLITE, PUBLISHED, *PGBENCH_MANY),
    "slot-noop": (OURS, SQLITE, PUBLISHED),
    "slot-real": (OURS, PUBLISHED),
    "race": (OURS, SQLITE, PUBLISHED),
    "waiter": (OURS, PUBLISHED),
    "start": (OURS, PUBLISHED),
    "service-one": (OURS,),
    "service-many": (OURS,),
}


def program_workload(workload):
    """The program's name of it: it takes the kind of keys as an argument, and the service's workloads under their own names."""
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
        return "template_hasigner" if rival == OURS else "template_published"

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

    def _arguments(self, workload):
        duties = {"duties": self._duties[workload]} if workload in self._duties else {}
        return {**duties, **ARGUMENTS.get(workload, {})}

    def _measure(self, workload, rival):
        self._databases += 1
        database = f"bench_{self._databases}"
        if rival == SQLITE:
            return self._measure_sqlite(workload, self._directory / f"{database}.sqlite")
        self._server.create_database(database, self.template(rival))
        try:
            self.quiet()
            if rival in PGBENCH_CLIENTS:
                return self._rivals[rival].measure(workload, database, PGBENCH_CLIENTS[rival], self._duties[workload])
            return self._rivals[rival].measure(program_workload(workload), self._server.url(database), **self._arguments(workload))
        finally:
            self._server.drop_database(database)

    def _measure_sqlite(self, workload, file):
        self.quiet()
        try:
            return self._rivals[SQLITE].measure(program_workload(workload), f"sqlite:{file}", **self._arguments(workload))
        finally:
            for leftover in file.parent.glob(f"{file.name}*"):
                leftover.unlink()
