"""An honest client beside an attacker: what the attack tests share.

A test serves, and attacks inside a `with` block:

    class LoudTests(AttackCase):
        def test_what_it_shows(self):
            service = self.serve("--max-connections", "64")         # as Service of service_support, stopped after the test
            with self.honest_beside(service, token=token):          # measures the reference first, then checks the bar at the end
                for _ in attack_rounds():                           # for SECONDS
                    attack(RANDOM.randrange(10))

The honest client is a process of its own. It signs a new slot all the time, over its own kept connection, and reports each wait.
The bar: every request of the block is answered 200 within max(1 s, ten times the worst wait of the reference, ten times the
worst wait of a client of another service that is not attacked meanwhile: a machine that is busy makes both wait).

ATTACK_SECONDS says how long each attack takes, ATTACK_SEED which random values it uses; a failure shows the seed.
"""

import http.client
import json
import os
import random
import resource
import socket
import subprocess
import sys
import threading
import time
import unittest
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import e2e_support as e2e  # noqa: E402
from service_support import Service, sign_request  # noqa: E402

SECONDS = float(os.environ.get("ATTACK_SECONDS", "2"))
REFERENCE_SECONDS = 1.0
SEED = int(os.environ.get("ATTACK_SEED") or random.SystemRandom().randrange(2**32))
RANDOM = random.Random(SEED)
LOWEST_BAR = 1.0
LONGEST_WAIT = 60.0
SLOTS_OF_A_CLIENT = 100_000


def attack_rounds(seconds=None):
    """Yields the number of the round for as long as an attack lasts."""
    until = time.monotonic() + (SECONDS if seconds is None else seconds)
    number = 0
    while time.monotonic() < until:
        yield number
        number += 1


def connect(address, timeout=10):
    """A socket to an address as the service shows it: HOST:PORT or unix:PATH."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class AttackThreads:
    """Threads that run `attack(number)`, which a derived class has, from the beginning of a `with` block until `over` is set at its end."""

    def __init__(self, numbers):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.attack, args=(number,), daemon=True) for number in numbers]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(timeout=90)


def allow_many_files():
    """For tests with thousands of sockets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def resident_bytes(service):
    """The memory that the process of a service holds."""
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class HonestClient:
    """Signs a new slot all the time, in a process of its own.

    With `connects` every request has a connection of its own. `answers()` gives (begin, wait, status, text) of the requests
    that have ended; times are those of time.monotonic(); status 0 is a failure of the connection.
    """

    _count = 0

    def __init__(self, service, *, token=None, address=None, validator=e2e.ADDRESS, duty_type="ATTESTATION", connects=False,
                 certificates=None, pause=0.005):
        HonestClient._count += 1
        what = {"address": address or service.addresses[0], "token": token, "validator": validator, "duty_type": duty_type,
                "connects": connects, "certificates": certificates, "pause": pause, "first_slot": HonestClient._count * SLOTS_OF_A_CLIENT}
        self._answers = []
        self._news = threading.Condition()
        self._process = subprocess.Popen([sys.executable, "-B", __file__, json.dumps(what)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._news:
                self._answers.append(tuple(json.loads(line)))
                self._news.notify_all()

    def answers(self, since=0.0, until=float("inf")):
        """Those of the requests that were in flight at some time between `since` and `until`."""
        with self._news:
            return [answer for answer in self._answers if answer[0] + answer[1] > since and answer[0] < until]

    def wait_for(self, count, since=0.0, timeout=LONGEST_WAIT):
        """Waits for so many answers to requests that began after `since`."""
        with self._news:
            enough = self._news.wait_for(lambda: sum(answer[0] >= since for answer in self._answers) >= count, timeout)
            assert enough, f"an honest client got no {count} answers in {timeout} s"

    def stop(self):
        """Ends after the answer to the request in flight."""
        if self._process.stdin.closed:
            return
        self._process.stdin.close()
        try:
            self._process.wait(timeout=LONGEST_WAIT + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)
        self._process.stdout.close()


class AttackCase(unittest.TestCase):
    lowest_bar = LOWEST_BAR

    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)

    def serve(self, *arguments, **more):
        service = Service(self.folder.path, *arguments, **more)
        self.addCleanup(service.stop)
        return service

    def client(self, name, rights, *restrictions):
        """A line for the clients file, and the token."""
        made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
        return " ".join((made["line"], *restrictions)) + "\n", made["token"]

    def control(self):
        """A service that is not attacked: what its client waits for is the machine, not the service under test."""
        if not hasattr(self, "_control"):
            self._control = self.serve(name="control")
        return self._control

    @contextmanager
    def honest_beside(self, service, *, clients=1, **what):
        """Measures honest clients alone, then during the block, and checks the bar when it ends. `what`: see HonestClient."""
        honest = [HonestClient(service, **what) for _ in range(clients)]
        control = HonestClient(self.control(), connects=what.get("connects", False))
        for one in (*honest, control):
            self.addCleanup(one.stop)
            one.wait_for(3)
        began = time.monotonic()
        time.sleep(REFERENCE_SECONDS)
        reference = [answer for one in honest for answer in one.answers(began)]
        attacked_at = time.monotonic()
        yield honest
        ended_at = time.monotonic()
        for one in (*honest, control):
            # A request that began in the block counts, however late its answer comes.
            one.wait_for(1, since=ended_at)
            one.stop()
        beside = [answer for one in honest for answer in one.answers(attacked_at, ended_at)]
        self._check_bar(reference, beside, control.answers(attacked_at, ended_at))

    def _check_bar(self, reference, beside, elsewhere):
        where = f"(ATTACK_SEED={SEED})"
        for answers, when in ((reference, "alone"), (beside, "beside the attacker"), (elsewhere, "of the service that is not attacked")):
            self.assertTrue(answers, f"an honest client {when} was never answered {where}")
            refused = [answer for answer in answers if answer[2] != 200]
            self.assertFalse(refused, f"an honest client {when} was refused {len(refused)} of {len(answers)} times, for example {refused[:3]} {where}")
        alone, worst, control = (max(answer[1] for answer in answers) for answers in (reference, beside, elsewhere))
        bar = max(self.lowest_bar, 10 * alone, 10 * control)
        print(f"{self.id().rsplit('.', 1)[1]}: honest worst {worst:.3f} s of {len(beside)} beside, {alone:.3f} s of {len(reference)} alone, "
              f"{control:.3f} s of {len(elsewhere)} elsewhere", flush=True)
        self.assertLessEqual(worst, bar, f"an honest client waited too long {where}")


main = e2e.main


def _open(what):
    if not what["certificates"]:
        sock = connect(what["address"], LONGEST_WAIT)
    else:
        import ssl
        context = ssl.create_default_context(cafile=what["certificates"]["authority"])
        if "certificate" in what["certificates"]:
            context.load_cert_chain(what["certificates"]["certificate"], what["certificates"]["key"])
        sock = context.wrap_socket(connect(what["address"], LONGEST_WAIT), server_hostname=what["address"].rsplit(":", 1)[0].strip("[]"))
    connection = http.client.HTTPConnection("localhost", timeout=LONGEST_WAIT)
    connection.sock = sock
    return connection


def _sign_until_told(what):
    """The process of an honest client."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    headers = {"Content-Type": "application/json"}
    if what["token"]:
        headers["Authorization"] = "Bearer " + what["token"]
    connection = None
    slot = what["first_slot"]
    while not over.is_set():
        slot += 1
        body = json.dumps(sign_request(slot=slot, validator=what["validator"], duty_type=what["duty_type"]))
        began = time.monotonic()
        try:
            connection = connection or _open(what)
            connection.request("POST", "/api/v1/sign", body, headers)
            response = connection.getresponse()
            status, text = response.status, response.read().decode()
            if response.will_close or what["connects"]:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            status, text = 0, repr(error)
            if connection:
                connection.close()
            connection = None
        print(json.dumps([began, time.monotonic() - began, status, "" if status == 200 else text[:300]]), flush=True)
        over.wait(what["pause"])


if __name__ == "__main__":
    _sign_until_told(json.loads(sys.argv[1]))
