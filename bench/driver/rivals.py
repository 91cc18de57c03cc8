"""The rivals that are measured: ours, the published package and pgbench, each behind `measure(workload, database, …)`."""

import json
import math
import pathlib
import shutil
import subprocess
import time

from driver import processes

BENCH = pathlib.Path(__file__).resolve().parent.parent
ROLLUP = "0x" + "11" * 20
INSTALL_LIMIT_S = 600
MEASURE_LIMIT_S = 180
RACE_PROCESSES = 3
RACE_LEAD_S = 6
RACE_TRIES = 3
EXIT_TOO_LATE = 75


def now_ms():
    return time.time_ns() // 1_000_000


def percentile(sorted_samples, percent):
    """By nearest rank, as the other programs of the bench count."""
    return sorted_samples[max(0, math.ceil(percent / 100 * len(sorted_samples)) - 1)]


class Program:
    """A bench program of the common contract: arguments in, one JSON line out (bench/README.md)."""

    def __init__(self, name, command):
        self.name = name
        self._command = command

    def _start(self, workload, url, arguments):
        flags = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
        command = [*self._command, "--workload", workload, "--database-url", url, *flags]
        return processes.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _finish(self, child, workload):
        line = processes.finish(child, f"{self.name} {workload}", MEASURE_LIMIT_S)
        try:
            return json.loads(line)
        except ValueError:
            raise processes.Failed(f"{self.name} {workload} did not print one JSON line but: {line[:200]!r}") from None

    def measure(self, workload, url, **arguments):
        if workload == "race":
            return self._race(url, arguments)
        if workload == "start":
            arguments = {**arguments, "at": now_ms()}
        return self._finish(self._start(workload, url, arguments), workload)

    def _race(self, url, arguments):
        """Three processes, one instant. A process that is not ready in time asks for a later instant."""
        for attempt in range(1, RACE_TRIES + 1):
            instant = now_ms() + 1000 * RACE_LEAD_S * attempt
            children = [self._start("race", url, {**arguments, "at": instant, "node-id": f"bench-{number}"})
                        for number in range(1, RACE_PROCESSES + 1)]
            try:
                return self._joined([self._finish(child, "race") for child in children])
            except processes.Failed as failure:
                if failure.exit_code != EXIT_TOO_LATE or attempt == RACE_TRIES:
                    raise
            finally:
                for child in children:
                    processes.end(child)

    def _joined(self, lines):
        counted = ("wins", "refusals", "false_timeouts", "failures")
        joined = {name: sum(line.get(name, 0) for line in lines) for name in counted}
        joined.update(duties=lines[0]["duties"], ms=max(line["ms"] for line in lines), processes=lines)
        if joined["wins"] != joined["duties"]:
            raise processes.Failed(f"{self.name} race: {joined['wins']} wins for {joined['duties']} duties")
        return joined


class Published(Program):
    """The published package under Node.js; it needs node and npm, and installs itself beside its program."""

    def __init__(self):
        super().__init__("published", ["node", str(BENCH / "rivals" / "published.mjs")])

    def install(self):
        missing = [tool for tool in ("node", "npm") if not shutil.which(tool)]
        if missing:
            raise processes.Failed(f"{' and '.join(missing)} not found: install nodejs and npm")
        wanted = json.loads((BENCH / "rivals" / "package.json").read_text())["dependencies"]
        if self.versions(wanted) != wanted:
            npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
            processes.run(npm, "npm install", INSTALL_LIMIT_S, cwd=BENCH / "rivals")
        node = processes.run(["node", "--version"], "node", MEASURE_LIMIT_S).strip()
        return {"node": node, **self.versions(wanted)}

    def versions(self, names):
        found = {}
        for name in names:
            manifest = BENCH / "rivals" / "node_modules" / name / "package.json"
            found[name] = json.loads(manifest.read_text())["version"] if manifest.exists() else None
        return found

    def migrate(self, url):
        self.measure("migrate", url)


class HaSigner(Program):
    """Ours, from a release build."""

    def __init__(self, build):
        self._program = pathlib.Path(build) / "bench" / "ha_signer_bench"
        self._migrator = pathlib.Path(build) / "ha-signer"
        super().__init__("hasigner", [str(self._program)])

    def missing(self):
        return [path.name for path in (self._program, self._migrator) if not path.exists()]

    def migrate(self, url):
        command = [str(self._migrator), "migrate", "up", "--database-url", url]
        processes.run(command, "ha-signer migrate up", MEASURE_LIMIT_S)


class Pgbench:
    """PostgreSQL itself, with the published package's two statements, prepared, on that package's tables."""

    SCRIPT = BENCH / "rivals" / "pgbench" / "claim_and_record.sql"
    THREADS = 2

    def __init__(self, server, directory):
        self._server = server
        self._directory = pathlib.Path(directory)

    def measure(self, workload, database, clients, duties):
        logs = self._directory / "pgbench-log"
        logs.mkdir()
        try:
            output = processes.run(self._command(database, clients, duties, logs), "pgbench", MEASURE_LIMIT_S)
            samples = sorted(int(line.split()[2]) / 1000 for file in logs.iterdir() for line in file.open())
        finally:
            shutil.rmtree(logs)
        throughput = [float(line.split()[2]) for line in output.splitlines() if line.startswith("tps = ")]
        if not throughput:
            raise processes.Failed(f"pgbench {workload}: no throughput in what it printed")
        figures = {"workload": workload, "rival": "pgbench", "clients": clients, "duties_per_s": throughput[0]}
        if samples:
            figures |= {f"p{percent}_ms": percentile(samples, percent) for percent in (50, 95, 99)}
        return figures

    def _command(self, database, clients, duties, logs):
        texts = {
            "rollup_address": ROLLUP,
            "address_prefix": "0x" + "0" * 30,
            "message_hash": "0x" + "ab" * 32,
            "lock_token": "c4" * 16,
            "signature": "0x" + "5a" * 64 + "1b",
            "first_slot": now_ms(),
            "duty": 0,
        }
        flags = [part for name, value in texts.items() for part in ("-D", f"{name}={value}")]
        if clients == 1:  # Many clients are measured for throughput, which a log would only lower.
            flags += ["--log", "--log-prefix", str(logs / "transactions")]
        return [self._server.binary("pgbench"), "-n", "-M", "prepared", "-f", str(self.SCRIPT),
                "-c", str(clients), "-j", str(min(clients, self.THREADS)), "-t", str(math.ceil(duties / clients)),
                "-h", "127.0.0.1", "-p", str(self._server.port), "-U", "bench", *flags, database]
