#!/usr/bin/env python3
"""The container image and the bill of materials: image_test.py [--image ARCHIVE] BUILD [unittest arguments]

Runs the image's program in its files alone, as the image's user, as a container engine would. With --image the files are those of an
archive of scripts/package. Exit code 77: a part was skipped."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import child_of

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "0x7564105e977516c53be337314c7e53838967bdac"  # of the private key of forty-fours, as every Ethereum library gives it
USER = 10001

build = archive = None


def pack(folder, *parts):
    subprocess.run([ROOT / "scripts/package", "--build", build, "--output", folder, *parts], check=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1767225600"})


def instruction(name):
    """Of the image's last stage."""
    text = (ROOT / "deploy/container/Dockerfile").read_text().rpartition("\nFROM ")[2]
    return re.search(rf"^{name} (.*)$", text, re.MULTILINE).group(1)


class Packed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ha-signer-image-"))
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", cls.folder], check=True)
        cls.root = cls.folder / "root"
        if archive:
            cls.unpack()
        else:
            pack(cls.folder, "root")
            data = cls.root / "var/lib/ha-signer"
            data.mkdir()
            if os.geteuid() == 0:
                os.chown(data, USER, USER)

    @classmethod
    def unpack(cls):
        with tarfile.open(archive) as image:
            (described,) = json.load(image.extractfile("manifest.json"))
            cls.config = json.load(image.extractfile(described["Config"]))["config"]
            (layer,) = described["Layers"]
            with tarfile.open(fileobj=image.extractfile(layer)) as files:
                files.extractall(cls.root, numeric_owner=True)


class ImageTests(Packed):
    def test_is_small_and_has_neither_shell_nor_privileged_files(self):
        files = [path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()]
        self.assertLess(sum(path.stat().st_size for path in files), 60e6)
        programs = {path.name for path in files if path.parent.name in ("bin", "sbin")}
        self.assertEqual(programs, {"ha-signer", "sleep"})
        self.assertEqual([path for path in files if path.stat().st_mode & 0o7022], [])

    def test_names_the_packages_that_its_files_are_of(self):
        packages = {path.name for path in (self.root / "var/lib/dpkg/status.d").iterdir()}
        self.assertLessEqual({"ca-certificates", "coreutils", "libc6", "libpq5", "libssl3", "openssl"}, packages)
        for package in packages:
            self.assertTrue((self.root / "usr/share/doc" / package / "copyright").is_file(), package)

    def test_an_archive_has_what_the_dockerfile_says(self):
        if not archive:
            return  # There is only the folder.
        self.assertEqual((self.config["User"], self.config["Entrypoint"], self.config["Cmd"]),
                         (instruction("USER"), json.loads(instruction("ENTRYPOINT")), json.loads(instruction("CMD"))))
        self.assertEqual(self.config["Healthcheck"]["Test"][1:], json.loads(instruction("HEALTHCHECK").split(" CMD ")[1]))


@unittest.skipUnless(os.geteuid() == 0, "only root can run the image's files as another user")
class RunningTests(Packed):
    def command(self, *arguments, **environment):
        variables = dict(word.split("=", 1) for word in instruction("ENV").split()) | environment
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/usr/sbin/chroot", f"--userspec={USER}:{USER}", self.root, "/usr/bin/" + arguments[0],
                *arguments[1:]], variables

    def run_in(self, *arguments, **environment):
        command, variables = self.command(*arguments, **environment)
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)

    def test_serves_and_says_how_it_is(self):
        keys = {"schemaVersion": 1, "validators": [{"attester": "0x" + "44" * 32, "feeRecipient": "0x" + "11" * 32}]}
        mounted = self.root / "keys"
        mounted.mkdir()
        (mounted / "keystore.json").write_text(json.dumps(keys))
        (mounted / "keystore.json").chmod(0o440)
        os.chown(mounted / "keystore.json", 0, USER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        environment = {"HA_SIGNER_LISTEN": address, "KEY_STORE_DIRECTORY": "/keys", "L1_CHAIN_ID": "1", "ROLLUP_CONTRACT_ADDRESS": "0x" + "11" * 20}
        health = json.loads(instruction("HEALTHCHECK").split(" CMD ")[1])
        self.assertEqual(self.run_in(*health, **environment).returncode, 1, "nothing serves yet")

        command, variables = self.command(*json.loads(instruction("ENTRYPOINT")), *json.loads(instruction("CMD")), **environment)
        service = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
        self.addCleanup(service.stderr.close)
        self.addCleanup(service.kill)
        log = []
        for line in service.stderr:
            log.append(line)
            if '"listening"' in line:
                break
        else:
            self.fail("".join(log))
        threading.Thread(target=lambda: log.extend(service.stderr), daemon=True).start()
        status = Path(f"/proc/{child_of(service)}/status").read_text()
        self.assertRegex(status, rf"Uid:\s+{USER}\s")
        healthy = self.run_in(*health, **environment)
        self.assertEqual((healthy.returncode, healthy.stdout), (0, "ok\n"), healthy.stderr)
        self.assertEqual((self.sign(address, "0xaa"), self.sign(address, "0xbb")), (200, 412))
        os.kill(child_of(service), signal.SIGTERM)
        self.assertEqual(service.wait(timeout=60), 0)
        self.assertEqual(self.run_in(*health, **environment).returncode, 1)
        self.assertEqual(self.run_in("sleep", "0").returncode, 0)

    def sign(self, address, message):
        body = {"validator": ADDRESS, "message": message, "context": {"dutyType": "ATTESTATION", "slot": 4711}}
        request = urllib.request.Request(f"http://{address}/api/v1/sign", json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            return urllib.request.urlopen(request, timeout=60).status
        except urllib.error.HTTPError as error:
            with error:
                return error.code


class BillTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ha-signer-bill-"))
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", cls.folder], check=True)
        pack(cls.folder, "sbom", "root")
        (bill,) = cls.folder.glob("*.cdx.json")
        cls.bill = json.loads(bill.read_text())
        cls.components = {component["bom-ref"]: component for component in cls.bill["components"]}
        cls.dependencies = {entry["ref"]: entry["dependsOn"] for entry in cls.bill["dependencies"]}

    def names(self, use):
        return {component["name"] for component in self.components.values()
                if {"name": "ha-signer:use", "value": use} in component.get("properties", [])}

    def test_lists_each_library_that_is_loaded_with_its_version(self):
        versions = {component["name"]: component["version"] for component in self.components.values()}
        listed = self.names("shared library of ha-signer")
        loaded = re.findall(r"=> (/\S+)", subprocess.run(["ldd", Path(build) / "ha-signer"], check=True, capture_output=True, text=True).stdout)
        self.assertGreater(len(loaded), 10)
        packages = set()
        for library in loaded:
            names = [os.path.realpath(library), os.path.realpath(library).removeprefix("/usr")]
            found = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True).stdout
            packages.add(found.split(":")[0])
        self.assertEqual(listed, packages)
        for package in packages:
            version = subprocess.run(["dpkg-query", "--show", "--showformat=${Version}", package], check=True, capture_output=True, text=True).stdout
            self.assertEqual(versions[package], version)

    def test_lists_what_is_compiled_and_linked_in(self):
        self.assertLessEqual({"libboost1.81-dev", "libcli11-dev", "libtomlplusplus-dev", "nlohmann-json3-dev"}, self.names("inside ha-signer"))
        addon = Path(build) / "bindings/node/ha_signer.node"
        if addon.exists():
            self.assertLessEqual({"libpq-dev", "libsecp256k1-dev", "libsqlite3-dev", "libssl-dev", "node-addon-api"}, self.names("inside ha_signer.node"))
            self.assertEqual(self.components[addon.name]["hashes"][0]["content"], hashlib.sha256(addon.read_bytes()).hexdigest())

    def test_is_about_the_program_that_is_packed(self):
        packed = (self.folder / "root/usr/bin/ha-signer").read_bytes()
        self.assertEqual(self.components["ha-signer"]["hashes"][0]["content"], hashlib.sha256(packed).hexdigest())
        version = subprocess.run([Path(build) / "ha-signer", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
        self.assertEqual(self.bill["metadata"]["component"]["version"], version)

    def test_every_reference_leads_to_a_component(self):
        self.assertEqual(self.bill["bomFormat"], "CycloneDX")
        named = {one for entry in self.dependencies.values() for one in entry} | set(self.dependencies)
        self.assertEqual(named - {"release"}, set(self.components))
        self.assertIn("image", self.dependencies["release"])


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--image"]:
        archive = arguments[1]
        del arguments[:2]
    if not arguments:
        sys.exit(__doc__)
    build = str(Path(arguments.pop(0)).resolve())
    result = unittest.main(argv=[sys.argv[0], *arguments], verbosity=2, exit=False).result
    sys.exit(1 if not result.wasSuccessful() else 77 if result.skipped else 0)
