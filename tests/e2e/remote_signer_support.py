"""A remote signer of a test's own: the process of tests/support/web3signer_server.py, which tells how it behaves."""

import json
import subprocess
import sys
from pathlib import Path

import e2e_support as e2e

TESTS = Path(__file__).resolve().parents[1]
VECTORS = TESTS / "vectors" / "typed_data.json"


class RemoteSigner:
    """A process of tests/support/web3signer_server.py that says it holds these addresses."""

    def __init__(self, *addresses):
        self.folder = e2e.Folder()
        self.process = subprocess.Popen([sys.executable, "-B", TESTS / "support" / "web3signer_server.py", self.folder.path,
                                         VECTORS, *addresses],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.process.stdout.readline())["ports"]

    def url(self, path=""):
        return f"http://127.0.0.1:{self.ports['http']}/{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()
        self.folder.remove()

    def tls_url(self, name="server", path=""):
        return f"https://localhost:{self.ports[name]}/{path}"

    def file(self, name):
        return str(self.folder.path / name)

    def counts(self):
        self.process.stdin.write("counts\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())
