"""A signing service for one test, and its clients. Every answer is checked against the OpenAPI document."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import jsonschema

import e2e_support as e2e

DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "hasigner/service/openapi.json").read_text())
RESOLVER = jsonschema.RefResolver("", DOCUMENT)
CHAIN_ID = 31337


def check_against_document(method, path, status, content_type, body):
    """Fails unless the document describes such an answer of this path."""
    operations = DOCUMENT["paths"].get(path.split("?")[0])
    kind = content_type.split(";")[0]
    if operations is None or method.lower().replace("head", "get") not in operations:
        # Not a path of the service: the answer must be a problem.
        assert kind == "application/problem+json" and status in (400, 404, 405, 501, 505), (path, status, kind)
        schema = {"$ref": "#/components/schemas/Problem"}
    else:
        responses = operations[method.lower().replace("head", "get")]["responses"]
        assert str(status) in responses, f"{method} {path}: the document knows no status {status}: {body!r}"
        response = responses[str(status)]
        if "$ref" in response:
            response = RESOLVER.resolve(response["$ref"])[1]
        assert kind in response["content"], f"{method} {path} {status}: {kind} is not in the document"
        schema = response["content"][kind]["schema"]
    if method == "HEAD":
        return
    value = json.loads(body) if kind.endswith("json") else body
    jsonschema.Draft202012Validator(schema, resolver=RESOLVER).validate(value)


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = body.decode()

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def kind(self):
        """The kind of a problem."""
        return self.json["type"].rsplit(":", 1)[1]


class Service:
    """`ha-signer serve` on a free port, or on the address `listen`."""

    def __init__(self, folder, *arguments, database=None, node="node-1", keys=(e2e.KEY,), listen="127.0.0.1:0", clients=None,
                 name="service", tls=None, environment=None, wait=True, rollup=e2e.ROLLUP, descriptors=(), data=True, publishers=None):
        """`keys`: None when they come from the environment."""
        self.folder = Path(folder) / name
        self.folder.mkdir(exist_ok=True)
        self.key_file = self.folder / "keys.json"
        if keys is not None:
            self.write_keys(keys, publishers)
        self.tls = tls
        self.lines = []
        self.news = threading.Condition()
        command = [e2e.PROGRAM, "serve", "--l1-chain-id", str(CHAIN_ID), "--rollup", rollup]
        if keys is not None:
            command += ["--key-store-directory", str(self.key_file)]
        if listen:
            command += ["--listen", listen]
        if database:
            command += ["--ha-signing-enabled", "--database-url", database, "--node-id", node]
        elif data:
            command += ["--data-directory", str(self.folder / "data")]
        if clients is not None:
            self.clients_file = self.folder / "clients"
            self.write_clients(clients)
            command += ["--clients-file", str(self.clients_file)]
        self.process = subprocess.Popen([*command, *arguments], env=e2e.clean_environment(**(environment or {})), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=descriptors)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            self.addresses = self.wait_for("listening")["on"].split(", ")

    def write_keys(self, keys, publishers=None):
        more = {} if publishers is None else {"publisher": publishers}
        validators = [{"attester": key, "feeRecipient": "0x" + "11" * 32} | more for key in keys]
        self._write(self.key_file, json.dumps({"schemaVersion": 1, "validators": validators}))

    def write_clients(self, text):
        self._write(self.clients_file, text)

    @staticmethod
    def _write(path, text):
        path.touch(mode=0o600)
        path.write_text(text)

    def _read(self):
        for line in self.process.stderr:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()
        with self.news:
            self.lines.append("")
            self.news.notify_all()

    def wait_for(self, event, *, count=1, timeout=30):
        """The line of the log with the count-th such event."""
        give_up_at = time.monotonic() + timeout
        with self.news:
            while True:
                found = [line for line in map(self._parsed, self.lines) if line.get("event") == event]
                if len(found) >= count:
                    return found[count - 1]
                left = give_up_at - time.monotonic()
                if left <= 0 or (self.lines and self.lines[-1] == ""):
                    raise AssertionError(f"no {event} in the log: {''.join(self.lines[-20:])}")
                self.news.wait(left)

    @staticmethod
    def _parsed(line):
        try:
            return json.loads(line)
        except ValueError:
            return {}

    def log(self):
        with self.news:
            return "".join(self.lines)

    # ---- requests

    def connection(self, address=None, timeout=30, context=None):
        address = address or self.addresses[0]
        if address.startswith("unix:"):
            connection = http.client.HTTPConnection("localhost", timeout=timeout)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(timeout)
            connection.sock.connect(address.removeprefix("unix:"))
            return connection
        host, port = address.rsplit(":", 1)
        context = context or self.tls
        if context:
            return http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=timeout, context=context)
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout)

    def raw(self, timeout=10):
        """A socket to the service, for bytes that a client would not send."""
        host, port = self.addresses[0].rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=timeout)

    def request(self, method, path, body=None, *, token=None, headers=None, connection=None, **where):
        own = connection is None
        connection = connection or self.connection(**where)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        sent |= headers or {}
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(response, response.read())
        finally:
            if own:
                connection.close()
        check_against_document(method, path, answer.status, answer.headers["content-type"], answer.text)
        assert answer.headers["x-request-id"]
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def rpc(self, method, *params, **more):
        answer = self.post("/", {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}, **more).json
        assert answer["id"] == 7
        return answer

    def sign(self, message="0xab", *, slot=5, duty_type="ATTESTATION", validator=e2e.ADDRESS, index=None, **more):
        return self.post("/api/v1/sign", sign_request(message, slot=slot, duty_type=duty_type, validator=validator, index=index), **more)

    def figure(self, name, token=None, **labels):
        """The sum of a metric's samples that have these labels."""
        total = 0.0
        for line in self.get("/metrics", token=token).text.splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.split("{")[0] == name and all(f'{label}="{wanted}"' in sample for label, wanted in labels.items()):
                total += float(value)
        return total

    # ---- the end

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends the service as a service manager would, and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=40)
        self.reader.join(timeout=5)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode


def context_of(slot=5, duty_type="ATTESTATION", index=None):
    context = {"dutyType": duty_type, "slot": slot}
    if index is not None:
        context["blockIndexWithinCheckpoint"] = index
    return context


def sign_request(message="0xab", *, slot=5, duty_type="ATTESTATION", validator=e2e.ADDRESS, index=None):
    return {"validator": validator, "context": context_of(slot, duty_type, index), "message": message}


def typed_data(primary_type="CheckpointAttestation", *, payload=e2e.HASH, chain_id=CHAIN_ID, rollup=e2e.ROLLUP,
               name="Aztec Rollup", version="1"):
    """What a recent Aztec node signs."""
    return {"types": {primary_type: [{"name": "payloadHash", "type": "bytes32"}]}, "primaryType": primary_type,
            "domain": {"name": name, "version": version, "chainId": chain_id, "verifyingContract": rollup},
            "message": {"payloadHash": payload}}


def key_of(number):
    return "0x" + format(number, "064x")
