#!/usr/bin/env python3
"""Debian 12 boots in a container with a real systemd, and the package is installed there as docs/operating.md says.

By hand, as root, since it downloads a system of some 700 MB: python3 tests/deploy/boot_test.py PROGRAM. Needs Debian's packages
debootstrap and systemd-container. A folder named by HA_SIGNER_ROOTFS keeps the system for the next run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import e2e_support as e2e

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "/etc/ha-signer/signer.toml"


def pack(folder):
    subprocess.run([ROOT / "scripts/package", "--build", Path(e2e.PROGRAM).parent, "--output", folder, "deb"], check=True)
    (package,) = Path(folder).glob("*.deb")
    return package


def needed(package):
    """The first of the alternatives of each package that it depends on."""
    depends = subprocess.run(["dpkg-deb", "--field", package, "Depends"], check=True, capture_output=True, text=True).stdout
    return [one.split()[0] for one in depends.split(",")]


def documented():
    """The commands of the document's part about systemd, without what it says beside them."""
    text = (ROOT / "docs/operating.md").read_text()
    block = re.search(r"\*\*systemd\*\*.*?```console\n(.*?)```", text, re.DOTALL).group(1)
    return [re.sub(r"\s{2,}\(.*", "", line.removeprefix("# ")) for line in block.splitlines()]


class Machine:
    """A booted system in namespaces of its own, without a way to any network."""

    def __init__(self, root):
        self.root = root
        command = ["systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--private-network", "--register=no", "--console=pipe",
                   # Without it no key can be locked into memory.
                   "--system-call-filter=@memlock"]
        if not Path("/run/systemd/system").exists():
            command.append("--keep-unit")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        give_up_at = time.monotonic() + 120
        while not self.first_process() or self.run("systemctl is-system-running --wait", check=False).strip() not in ("running", "degraded"):
            assert self.process.poll() is None and time.monotonic() < give_up_at, "it does not boot"

    def first_process(self):
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    def run(self, command, *, check=True, user="root"):
        inside = ["nsenter", "--target", self.first_process()[0], "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                  "--wdns=/source", "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", f"HA_SIGNER_CONFIG={SETTINGS}",
                  "runuser", "-u", user, "--", "bash", "-euc", command]
        done = subprocess.run(inside, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        if check and done.returncode != 0:
            journal = self.run("journalctl --unit ha-signer --output cat --lines 20 --no-pager", check=False)
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}{journal}")
        return done.stdout

    def stop(self):
        if self.process.poll() is None:
            self.run("systemctl poweroff", check=False)
            self.process.wait(timeout=60)
        if not Path("/run/systemd/system").exists():
            self.remove_groups()

    @staticmethod
    def remove_groups():
        """No systemd of this machine removes the control groups that systemd-nspawn made; they are empty now."""
        for name in ("payload", "supervisor"):
            for top in Path("/sys/fs/cgroup").glob(f"*/{name}"):
                for folder, _, _ in os.walk(top, topdown=False):
                    os.rmdir(folder)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("debootstrap") and shutil.which("systemd-nspawn"),
                     "needs root, debootstrap and systemd-container")
class BootTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.addClassCleanup(cls.folder.remove)
        package = pack(cls.folder.path / "package")
        made = Path(os.environ.get("HA_SIGNER_ROOTFS") or cls.folder.path / "made")
        if not (made / "etc/debian_version").exists():
            packages = ["systemd", "systemd-sysv", "dbus", "curl", "postgresql-15", "ca-certificates", *needed(package)]
            subprocess.run(["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", made], check=True,
                           stdout=subprocess.DEVNULL)
        root = cls.folder.path / "root"
        subprocess.run(["cp", "--archive", made, root], check=True)
        (root / "source").mkdir()
        (root / "etc/apt/apt.conf.d/yes").write_text('APT::Get::Assume-Yes "true";\n')
        shutil.copy(package, root / "source")
        cls.make_later(package, root / "source")
        # On a machine with systemd the package makes a cluster that starts at boot; here nothing ran yet.
        cls.machine = Machine(root)
        cls.addClassCleanup(cls.machine.stop)
        cls.install()

    @staticmethod
    def make_later(package, folder):
        """The same as a later version, for upgrades."""
        files = folder / "later"
        subprocess.run(["dpkg-deb", "--raw-extract", package, files], check=True)
        control = files / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99.0-1", control.read_text()))
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", files, folder / "later.deb"], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def install(cls):
        run = cls.machine.run
        run("pg_lsclusters -h | grep -q main || pg_createcluster 15 main; systemctl start postgresql@15-main")
        for command in documented():
            if command.endswith("keys check"):
                cls.prepare()
            run(command)

    @classmethod
    def prepare(cls):
        """Between the installation and the first start: a database, a key, a client, and the settings' values."""
        run = cls.machine.run
        run("createuser ha-signer && createdb ha", user="postgres")
        run("VALIDATOR_HA_DATABASE_URL='postgresql:///ha?host=/var/run/postgresql' ha-signer migrate up --grant ha-signer --config /dev/null", user="postgres")
        settings = (ROOT / "deploy/systemd/signer.toml").read_text()
        settings = re.sub(r'(?m)^# database_url = .*', 'database_url = "postgresql:///ha?host=/var/run/postgresql"', settings)
        settings = re.sub(r"(?m)^# (ha_signing_enabled|node_id) = ", r"\1 = ", settings)
        (cls.machine.root / SETTINGS.removeprefix("/")).write_text(settings.replace("0x" + "0" * 40, e2e.ROLLUP))
        made = json.loads(e2e.run("token", "--name", "validator-1", "--json").stdout)
        cls.token = made["token"]
        keys = {"schemaVersion": 1, "validators": [{"attester": e2e.KEY, "feeRecipient": "0x" + "11" * 32}]}
        for name, content in (("keys/keys.json", json.dumps(keys)), ("clients", made["line"] + "\n")):
            path = cls.machine.root / "etc/ha-signer" / name
            path.write_text(content)
            run(f"chown root:ha-signer /etc/ha-signer/{name} && chmod 640 /etc/ha-signer/{name}")
        run("useradd --groups ha-signer-clients client && useradd stranger")

    def sign(self, slot, message="0xaa", user="client"):
        """The status, 0 if the service was not reached."""
        request = json.dumps({"validator": e2e.ADDRESS, "message": message, "context": {"dutyType": "ATTESTATION", "slot": slot}})
        return int(self.machine.run(
            f"curl -s -m 60 -o /dev/null -w '%{{http_code}}' --unix-socket /run/ha-signer.sock http://localhost/api/v1/sign "
            f"-H 'Authorization: Bearer {self.token}' -H 'Content-Type: application/json' -d '{request}'", check=False, user=user))

    def state(self):
        return self.machine.run("systemctl is-active ha-signer.service", check=False).strip()

    def test_the_units_say_nothing_wrong(self):
        self.machine.run("systemd-analyze verify /lib/systemd/system/ha-signer.service /lib/systemd/system/ha-signer.socket")

    def test_signs_for_the_group_of_clients_with_its_key_locked_in_memory(self):
        self.assertEqual((self.sign(1), self.sign(1, "0xbb"), self.sign(2, user="stranger")), (200, 412, 0))
        status = self.machine.run("cat /proc/$(systemctl show --property MainPID --value ha-signer)/status")
        self.assertRegex(status, r"VmLck:\s+[1-9]")
        self.assertRegex(status, r"CapBnd:\s+0{16}\n")
        self.assertRegex(status, r"Seccomp:\s+2\n")

    def test_no_client_is_refused_while_it_restarts(self):
        self.assertEqual(self.answers_during(range(100, 160), *["systemctl restart ha-signer"] * 3), {200})

    def test_no_client_is_refused_while_it_is_upgraded(self):
        was = self.process_id()
        self.assertEqual(self.answers_during(range(500, 560), "dpkg --install /source/later.deb"), {200})
        self.assertNotEqual(self.process_id(), was, "the new program runs")
        self.assertEqual(self.machine.run("systemctl is-active ha-signer.socket").strip(), "active")

    def process_id(self):
        return self.machine.run("systemctl show --property MainPID --value ha-signer").strip()

    def answers_during(self, slots, *commands):
        answers = set()
        client = threading.Thread(target=lambda: answers.update(self.sign(slot) for slot in slots))
        client.start()
        for command in commands:
            self.machine.run(command)
        client.join()
        return answers

    def test_removed_it_has_stopped_and_installed_again_it_is_enabled_and_remembers(self):
        self.assertEqual(self.sign(600), 200)
        self.machine.run("dpkg --remove ha-signer")
        self.assertEqual(self.machine.run("systemctl is-active ha-signer.socket ha-signer.service", check=False).split(), ["inactive"] * 2)
        self.machine.run("dpkg --install /source/later.deb && systemctl start ha-signer.socket ha-signer.service")
        self.assertEqual(self.sign(600, "0xbb"), 412)

    def test_comes_back_after_a_kill(self):
        self.machine.run("systemctl kill --signal=KILL ha-signer")
        self.assertEqual(self.sign(200), 200)

    def test_is_started_again_when_it_stands_still(self):
        shorter = "/run/systemd/system/ha-signer.service.d"
        self.machine.run(f"mkdir -p {shorter} && printf '[Service]\\nWatchdogSec=2s\\n' >{shorter}/shorter.conf && systemctl daemon-reload "
                         "&& systemctl restart ha-signer")
        self.addCleanup(self.machine.run, f"rm -r {shorter} && systemctl daemon-reload && systemctl restart ha-signer")
        self.assertEqual(self.sign(250), 200)
        self.machine.run("systemctl kill --kill-whom=main --signal=STOP ha-signer")
        self.assertEqual(self.sign(251), 200)
        self.assertIn("Watchdog timeout", self.machine.run("journalctl --unit ha-signer --output cat --no-pager"))

    def test_reloads_and_refuses_what_is_wrong(self):
        clients = self.machine.root / "etc/ha-signer/clients"
        right = clients.read_text()
        self.addCleanup(clients.write_text, right)
        self.machine.run("systemctl reload ha-signer")
        clients.write_text("wrong\n")
        self.machine.run("systemctl reload ha-signer")
        self.machine.run("journalctl --unit ha-signer --output cat --follow --lines=all | grep --max-count=1 reload_failed")
        self.assertEqual(self.sign(300), 200)

    def test_stays_stopped_when_both_units_are_stopped(self):
        self.machine.run("systemctl stop ha-signer.service")
        self.assertEqual((self.state(), self.sign(400), self.state()), ("inactive", 200, "active"), "a client starts it again")
        self.machine.run("systemctl stop ha-signer.socket ha-signer.service")
        self.assertEqual((self.sign(401), self.state()), (0, "inactive"))
        self.machine.run("systemctl start ha-signer.socket ha-signer.service")
        self.assertEqual(self.sign(402), 200)


if __name__ == "__main__":
    e2e.main()
