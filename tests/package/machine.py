"""A Debian to install the package in: another Debian's files with a layer over them that is thrown away."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

UNIT = "lib/systemd/system/ha-signer.service"
SETUP = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/above" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/above,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
mount --rbind /dev "$1/root/dev"
exec chroot "$1/root" sh -c 'echo ready; exec sleep infinity'
"""


def child_of(process):
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


class Machine:
    """Processes, mounts and, unless it is asked for, the network are its own; all end with it. Needs root."""

    def __init__(self, below="/", *, network=False):
        self.folder = tempfile.mkdtemp(prefix="ha-signer-machine-")
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts"] + ([] if network else ["--net"])
        self.process = subprocess.Popen(["unshare", *namespaces, "bash", "-c", SETUP, "setup", self.folder, below], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "the machine's file system cannot be mounted"
        self.first = str(child_of(self.process))
        self.root = Path(f"/proc/{self.first}/root")
        assert not self.root.samefile("/"), "nothing is installed on this machine itself"
        if network:
            (self.root / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        os.rmdir(self.folder)

    def command(self, *command):
        return ["nsenter", "--target", self.first, "--mount", "--pid", "--ipc", "--uts", "--net", "--root", "--wdns=/", "env", "-i", "LC_ALL=C.UTF-8",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", *command]

    def run(self, command, *, check=True, timeout=300):
        done = subprocess.run(self.command("bash", "-euc", command), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def copy(self, file):
        """Its path on the machine."""
        target = self.root / "tmp" / Path(file).name
        target.write_bytes(Path(file).read_bytes())
        return f"/tmp/{target.name}"


class Service:
    """What the installed unit says, as its user and without privileges, where no systemd runs."""

    def __init__(self, machine):
        unit = (machine.root / UNIT).read_text()
        user, mask, command = (re.search(rf"^{name}=(.*)$", unit, re.MULTILINE).group(1) for name in ("User", "UMask", "ExecStart"))
        environment = re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)
        self.machine = machine
        self.process = subprocess.Popen(
            machine.command("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all",
                            "env", *environment, "sh", "-c", f"umask {mask}; exec {command}"),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.log = []
        if not any('"listening"' in line for line in self.lines()):
            self.process.wait()
            self.process.stderr.close()
            raise AssertionError("the service does not start: " + "".join(self.log))
        self.reader = threading.Thread(target=lambda: list(self.lines()))
        self.reader.start()

    def lines(self):
        while line := self.process.stderr.readline():
            self.log.append(line)
            yield line

    def stop(self):
        """Its exit code."""
        os.kill(child_of(self.process), signal.SIGTERM)
        self.reader.join(timeout=60)
        self.process.stderr.close()
        return self.process.wait(timeout=60)

    def post(self, path, body, token, address):
        connection = http.client.HTTPConnection("localhost", timeout=60)
        with socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.connect(str(self.machine.root / address.lstrip("/")))
            connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
