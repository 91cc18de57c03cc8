#!/usr/bin/env python3
"""The Debian package: debian_test.py [--fresh DEBIAN] [--release] BUILD [unittest arguments]

Packs a build, and installs it, upgrades it, removes it and purges it with this machine's own dpkg, in a layer over this machine's files
that is thrown away. With --fresh in a Debian that has nothing but its essential packages and apt, which then fetches what the package
depends on. A build of preset release is asked for more: --release. Exit code 77: a part was skipped."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import Machine, Service

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "/etc/ha-signer/signer.toml"
MEMORY = "/var/lib/ha-signer"
SOCKET = f"{MEMORY}/socket"
ADDRESS = "0x7564105e977516c53be337314c7e53838967bdac"  # of the private key of forty-fours, as every Ethereum library gives it
ROLLUP = "0x" + "11" * 20
COMMIT_TIME = "1767225600"

build = fresh = None
is_release = False


def pack(folder, **environment):
    command = [ROOT / "scripts/package", "--build", build, "--output", folder, "deb"]
    subprocess.run(command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": COMMIT_TIME} | environment)
    (package,) = Path(folder).glob("*.deb")
    return package


class Packed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ha-signer-package-"))
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", cls.folder], check=True)
        cls.package = pack(cls.folder / "first")
        cls.files = cls.folder / "files"
        subprocess.run(["dpkg-deb", "--raw-extract", cls.package, cls.files], check=True)


class PackageTests(Packed):
    def test_the_same_build_gives_the_same_bytes(self):
        again = pack(self.folder / "second", TZ="Asia/Tokyo", LANG="C", HOME="/nonexistent")
        self.assertEqual(self.package.read_bytes(), again.read_bytes())

    def test_lintian_has_nothing_to_say(self):
        # It is not for Debian's archive; users without systemd do not make it a package for other init systems; and what looks misspelt
        # is within names that the compiler made.
        suppressed = ["initial-upload-closes-no-bugs", "package-supports-alternative-init-but-no-init.d-script", "spelling-error-in-binary"]
        if not is_release:
            suppressed.append("hardening-no-fortify-functions")
        done = subprocess.run(["lintian", "--allow-root", "--display-info", "--fail-on=error,warning,info", f"--suppress-tags={','.join(suppressed)}",
                               self.package], capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_the_program_is_hardened_and_its_version_is_the_packages(self):
        program = self.files / "usr/bin/ha-signer"
        asked = [sys.executable, "-B", ROOT / "tests/hardening/hardening_test.py", *(["--release"] if is_release else []), program]
        subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        self.assertIn(f"\nVersion: {version}-1\n", (self.files / "DEBIAN/control").read_text())

    def test_has_the_same_program_as_the_image(self):
        subprocess.run([ROOT / "scripts/package", "--build", build, "--output", self.folder, "root"], check=True)
        self.assertEqual((self.files / "usr/bin/ha-signer").read_bytes(), (self.folder / "root/usr/bin/ha-signer").read_bytes())

    def test_what_it_says_of_itself_is_there(self):
        self.assertEqual((self.files / "DEBIAN/conffiles").read_text(), SETTINGS + "\n")
        for unit in (self.files / "lib/systemd/system").iterdir():
            for document in re.findall(r"file:(\S+)", unit.read_text()):
                self.assertTrue((self.files / document.lstrip("/")).is_file(), document)
        for file in ("usr/share/man/man1/ha-signer.1.gz", "usr/share/bash-completion/completions/ha-signer", "usr/share/zsh/vendor-completions/_ha-signer",
                     "usr/share/fish/vendor_completions.d/ha-signer.fish",
                     "usr/share/doc/ha-signer/examples/prometheus/alerts.yml"):
            self.assertTrue((self.files / file).is_file(), file)


@unittest.skipUnless(os.geteuid() == 0, "only root can install a package")
class MachineTests(Packed):
    def machine(self):
        machine = Machine(fresh or "/", network=fresh is not None)
        self.addCleanup(machine.stop)
        if fresh:
            machine.run("apt-get -q update")
        return machine

    def next_version(self):
        """A package of a later version that brings another settings file."""
        files = self.folder / "next"
        subprocess.run(["cp", "--archive", self.files, files], check=True)
        for name, old, new in (("DEBIAN/control", r"(?m)^Version: .*", "Version: 99.0-1"), (SETTINGS.lstrip("/"), r"\A", "# Later.\n")):
            path = files / name
            path.write_text(re.sub(old, new, path.read_text()))
        package = self.folder / "next.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", files, package], check=True, stdout=subprocess.DEVNULL)
        return package

    def install(self, machine, package):
        # A settings file that the operator has changed stays, as an operator answers by default.
        options = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold" if fresh else "--force-confdef --force-confold"
        path = machine.copy(package)
        machine.run(f"apt-get -q install --yes {options} {path}" if fresh else f"dpkg {options} --install {path}")

    def set_up(self, machine):
        """As an operator does between the installation and the start."""
        keys = {"schemaVersion": 1, "validators": [{"attester": "0x" + "44" * 32, "feeRecipient": "0x" + "11" * 32}]}
        made = json.loads(machine.run("ha-signer token --name validator-1 --json").stdout)
        for name, text in (("keys/keystore.json", json.dumps(keys)), ("clients", made["line"] + "\n")):
            (machine.root / "etc/ha-signer" / name).write_text(text)
            machine.run(f"chown root:ha-signer /etc/ha-signer/{name}; chmod 640 /etc/ha-signer/{name}")
        machine.run(f"sed -i 's/^rollup = .*/rollup = \"{ROLLUP}\"/' {SETTINGS}; echo 'listen = \"unix:{SOCKET}\"' >>{SETTINGS}")
        return made["token"]

    def sign(self, service, token, message):
        body = {"validator": ADDRESS, "message": message, "context": {"dutyType": "ATTESTATION", "slot": 4711}}
        return service.post("/api/v1/sign", body, token, SOCKET)[0]

    def state_of(self, machine, *paths):
        return machine.run("stat --format='%n %U:%G %a' " + " ".join(paths)).stdout.splitlines()

    def test_installs_serves_and_forgets_nothing_through_upgrade_removal_and_purge(self):
        machine = self.machine()
        machine.run("test ! -e /usr/bin/ha-signer; ! getent passwd ha-signer")
        self.install(machine, self.package)
        self.assertEqual(self.state_of(machine, "/etc/ha-signer", "/etc/ha-signer/keys", SETTINGS, MEMORY),
                         ["/etc/ha-signer root:ha-signer 750", "/etc/ha-signer/keys root:ha-signer 750", f"{SETTINGS} root:ha-signer 640",
                          f"{MEMORY} ha-signer:ha-signer 700"])
        self.assertRegex(machine.run("getent passwd ha-signer").stdout, r"^ha-signer:x:\d{3}:\d{3}:.*:/var/lib/ha-signer:/usr/sbin/nologin$")
        machine.run("getent group ha-signer-clients")
        with self.subTest("it does not start with the settings as they are shipped"):
            with self.assertRaisesRegex(AssertionError, "rollup"):
                Service(machine)

        token = self.set_up(machine)
        service = Service(machine)
        self.assertEqual((self.sign(service, token, "0xaa"), self.sign(service, token, "0xbb")), (200, 412))
        self.assertEqual(service.stop(), 0)
        settings = (machine.root / SETTINGS.lstrip("/")).read_text()
        machine.run(f"chmod 600 {SETTINGS}; chown ha-signer {SETTINGS}")

        self.install(machine, self.next_version())
        self.assertEqual((machine.root / SETTINGS.lstrip("/")).read_text(), settings, "the operator's settings stay")
        self.assertEqual(self.state_of(machine, SETTINGS), [f"{SETTINGS} ha-signer:ha-signer 600"], "and so do their owner and mode")
        self.assertEqual(self.refused(machine, token), 412)

        machine.run("dpkg --remove ha-signer; test ! -e /usr/bin/ha-signer")
        self.assertEqual((machine.root / SETTINGS.lstrip("/")).read_text(), settings)
        self.install(machine, self.package)
        self.assertEqual(self.refused(machine, token), 412)

        said = machine.run("dpkg --purge ha-signer").stderr
        self.assertIn(f"{MEMORY} stays", said)
        machine.run(f"test ! -e {SETTINGS}; test -s {MEMORY}/signing-protection.db; test -s /etc/ha-signer/keys/keystore.json")
        self.install(machine, self.package)
        machine.run(f"sed -i 's/^rollup = .*/rollup = \"{ROLLUP}\"/' {SETTINGS}; echo 'listen = \"unix:{SOCKET}\"' >>{SETTINGS}")
        self.assertEqual(self.refused(machine, token), 412, "not even a purge makes it forget")

    def refused(self, machine, token):
        """The status of another message for the duty that is signed, from a service that starts for this request."""
        service = Service(machine)
        try:
            return self.sign(service, token, "0xbb")
        finally:
            service.stop()

    def test_follows_the_first_screen_of_the_readme(self):
        machine = self.machine()
        text = (ROOT / "README.md").read_text()
        install = re.search(r"^sudo (apt install \./(\S+\.deb))$", text, re.MULTILINE)
        self.assertTrue(self.package.name.startswith(install.group(2).rpartition("_")[0] + "_"), "the README names another package")
        machine.copy(self.package)
        started = time.monotonic()
        machine.run(f"cd /tmp; apt-get install --yes ./{self.package.name}")
        block = re.search(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL).group(1)
        done = machine.run(f"cd /root; set +e; {block}")
        took = time.monotonic() - started
        self.assertEqual(len(re.findall(r"^0x[0-9a-f]{128}1[bc]$", done.stdout, re.MULTILINE)), 1, "one message is signed")
        self.assertIn("aaaaaaaa", done.stderr, "the other is refused")
        print(f"installed and signed after {took:.0f} s", file=sys.stderr)
        if fresh:
            self.assertLess(took, 60)

    def test_a_purge_that_leaves_nothing_behind_says_nothing(self):
        machine = self.machine()
        self.install(machine, self.package)
        self.assertNotIn("stays", machine.run("dpkg --purge ha-signer").stderr)
        machine.run(f"test ! -e {MEMORY}; test ! -e /etc/ha-signer")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--fresh"]:
        fresh = arguments[1]
        del arguments[:2]
    if arguments[:1] == ["--release"]:
        is_release = True
        del arguments[:1]
    if not arguments:
        sys.exit(__doc__)
    build = str(Path(arguments.pop(0)).resolve())
    result = unittest.main(argv=[sys.argv[0], *arguments], verbosity=2, exit=False).result
    sys.exit(1 if not result.wasSuccessful() else 77 if result.skipped else 0)
