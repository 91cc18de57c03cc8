#!/usr/bin/env python3
"""A remote signer for tests: web3signer_server.py FOLDER VECTORS ADDRESS…

It answers JSON-RPC as Web3Signer does, on real sockets and with real TLS, and misbehaves where the request's path says
so. Its signatures are those of VECTORS (tests/vectors/typed_data.json), made by viem; it has no key. ADDRESS… are the
accounts it says it has. Certificates are made in FOLDER. When it listens it prints one JSON line: ports and files. Then a line `counts` on standard input is
answered with a JSON line of what it has seen; the end of standard input ends it.
"""

import base64
import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

CLIENT_PASSWORD = "client-password"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

counts = Counter()
counting = threading.Lock()
signatures = {}
ended = threading.Event()


def count(what):
    with counting:
        counts[what] += 1


def meaning_of(typed_data):
    """Typed data without what may be written in several ways: space, order, and a domain's type that goes without saying."""
    document = json.loads(typed_data)
    document["types"].pop("EIP712Domain", None)
    return json.dumps(document, sort_keys=True)


def read_vectors(path):
    vectors = json.loads(Path(path).read_text())
    for vector in vectors["typed_data"]:
        signatures["eth_signTypedData", meaning_of(vector["json"])] = vector["signature"]
    for vector in vectors["personal"]:
        signatures["eth_sign", vector["message"]] = vector["signature"]


def with_high_s(signature):
    """The twin of a signature that recovers to the same address, and that EIP-2 forbids."""
    r, s, v = signature[2:66], int(signature[66:130], 16), int(signature[130:], 16)
    return f"0x{r}{ORDER - s:064x}{55 - v:02x}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.requests = 0
        count("connections")

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.requests += 1
        path = self.path.partition("?")[0]
        count(f"POST {path}")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count(f"method {body['method']}")
        kind, _, value = path.removeprefix("/").partition("/")
        getattr(self, "answer_" + (kind or "well").replace("-", "_"))(body, value)

    # How it answers.

    def send_body(self, body, status=200, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_result(self, request, result, **more):
        self.send_body(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result} | more).encode())

    def result_of(self, request):
        if request["method"] == "eth_accounts":
            return self.server.accounts
        address, message = request["params"]
        if address.lower() not in self.server.accounts:
            return None
        if request["method"] == "eth_signTypedData":
            # Web3Signer does not supply it.
            if "EIP712Domain" not in json.loads(message)["types"]:
                return None
            message = meaning_of(message)
        return signatures.get((request["method"], message))

    def answer_well(self, request, _):
        result = self.result_of(request)
        if result is None:
            self.send_body(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": "no such key"}}).encode())
        else:
            self.send_result(request, result)

    def answer_authorized(self, request, _):
        count(f"Authorization {self.headers['Authorization']}")
        self.answer_well(request, _)

    def answer_late(self, request, _):
        ended.wait(1.2)
        self.answer_well(request, _)

    def answer_never(self, *_):
        ended.wait()

    def answer_trickle(self, *_):
        self.send_response(200)
        self.send_header("Content-Length", "10000")
        self.end_headers()
        while not ended.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()

    def answer_huge(self, *_):
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        self.write_endlessly(b" " * 65536)

    def answer_endless(self, *_):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.write_endlessly(b"1000\r\n" + b" " * 4096 + b"\r\n")

    def answer_headers(self, *_):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self.write_endlessly(b"X-More: " + b"x" * 1000 + b"\r\n")

    def write_endlessly(self, piece):
        try:
            while not ended.is_set():
                self.wfile.write(piece)
        except OSError:
            pass
        self.close_connection = True

    def answer_cut(self, *_):
        self.close_connection = True

    def answer_cut_signing(self, request, _):
        if request["method"] == "eth_accounts":
            self.answer_well(request, _)
        else:
            self.answer_cut()

    def answer_wrong_signing(self, request, _):
        if request["method"] == "eth_accounts":
            self.answer_well(request, _)
        else:
            self.answer_other_data(request, _)

    def answer_half(self, request, _):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"jsonrpc"')
        self.close_connection = True

    def answer_garbage(self, *_):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        self.close_connection = True

    def answer_html(self, *_):
        self.send_body(b"<html>hello</html>", kind="text/html")

    def answer_status(self, _, value):
        self.send_body(b"no", status=int(value))

    def answer_redirect(self, *_):
        self.send_response(307)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_error(self, request, _):
        error = {"code": -32000, "message": "the vault is sealed\u0007\n" + "x" * 1000}
        self.send_body(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode(), status=500)

    def answer_echo(self, request, value):
        """Tells what it was sent, as servers in trouble do."""
        sent = self.headers["Authorization"].removeprefix("Basic ")
        sent = base64.b64decode(sent).decode() if value else f"{sent} {self.path}"
        error = {"code": -32000, "message": "x" * 190 + sent}
        self.send_body(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode())

    def answer_other_id(self, request, _):
        self.send_body(json.dumps({"jsonrpc": "2.0", "id": request["id"] + 1, "result": self.result_of(request)}).encode())

    def answer_deep(self, *_):
        self.send_body(b"[" * 10_000)

    def answer_no_result(self, request, _):
        self.send_body(json.dumps({"jsonrpc": "2.0", "id": request["id"]}).encode())

    def answer_other_data(self, request, _):
        own = self.result_of(request)
        self.send_result(request, next(signature for signature in signatures.values() if signature != own))

    def answer_high_s(self, request, _):
        self.send_result(request, with_high_s(self.result_of(request)))

    def answer_bare(self, request, _):
        self.send_result(request, self.result_of(request)[2:])

    def answer_parity(self, request, _):
        signature = self.result_of(request)
        self.send_result(request, signature[:130] + f"{int(signature[130:], 16) - 27:02x}")

    def answer_short(self, request, _):
        self.send_result(request, self.result_of(request)[:130])

    def answer_null(self, request, _):
        self.send_result(request, None)

    def answer_no_accounts(self, request, _):
        self.send_result(request, [])

    def answer_capitals(self, request, _):
        self.send_result(request, ["0x" + address[2:].upper() for address in self.server.accounts])

    def answer_names(self, request, _):
        self.send_result(request, ["alice"])

    def answer_close_after(self, request, _):
        """Answers, says that the connection stays, and closes it."""
        self.answer_well(request, _)
        self.wfile.flush()
        self.close_connection = True

    def answer_drop_second(self, request, _):
        """Closes a connection that has served before, as if its good-bye crossed the request."""
        if self.requests > 1:
            self.close_connection = True
        else:
            self.answer_well(request, _)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, accounts, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.accounts = accounts
        self.context = context
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        # In the connection's own thread: a client that never completes the handshake holds up no other.
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                count("refused handshakes")
                return
        super().finish_request(request, client_address)
        if self.context:
            request.close()

    def handle_error(self, *_):
        pass


class Certificates:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.authority("ca")
        self.authority("other-ca")
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        self.issue("server", "ca", names)
        self.issue("expired", "ca", names, days=-1)
        self.issue("other-host", "ca", "subjectAltName=DNS:other.example")
        self.issue("unknown", "other-ca", names)
        self.issue("client", "ca", "extendedKeyUsage=clientAuth")
        self.issue("stranger", "other-ca", "extendedKeyUsage=clientAuth")
        self.openssl("ec", "-in", "client.key", "-aes256", "-passout", f"pass:{CLIENT_PASSWORD}", "-out", "client-encrypted.key")
        self.join("client.pem", "client.crt", "ca.crt", "client.key")
        self.join("client-encrypted.pem", "client.crt", "client-encrypted.key")
        self.join("mixed.pem", "client.crt", "server.key")
        self.join("stranger.pem", "stranger.crt", "stranger.key")
        pkcs12 = ("pkcs12", "-export", "-inkey", "client.key", "-in", "client.crt", "-passout", f"pass:{CLIENT_PASSWORD}", "-out")
        self.openssl(*pkcs12, "client.p12")
        # As OpenSSL 1.1 and Java 8 wrote it: RC2 with 40 bits.
        self.openssl(*pkcs12, "client-rc2.p12", "-legacy")

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def new_key(self, *arguments):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *arguments)

    def authority(self, name):
        self.new_key("-x509", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}", "-days", "2")

    def issue(self, name, authority, extension, days=2):
        self.new_key("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / f"{name}.ext").write_text(extension + "\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial",
                     "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.crt")

    def join(self, name, *parts):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text("".join((self.folder / part).read_text() for part in parts))

    def context(self, name, client_authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        if client_authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.folder / f"{client_authority}.crt")
        return context


def silent_port(keep):
    """Takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    keep.append(listener)
    return listener.getsockname()[1]


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    read_vectors(sys.argv[2])
    accounts = [address.lower() for address in sys.argv[3:]]
    certificates = Certificates(sys.argv[1])
    servers = {"http": Server(accounts)}
    for name in ("server", "expired", "other-host", "unknown"):
        servers[name] = Server(accounts, certificates.context(name))
    servers["mutual"] = Server(accounts, certificates.context("server", client_authority="ca"))
    keep = []
    ports = {name: server.server_address[1] for name, server in servers.items()} | {"silent": silent_port(keep)}
    print(json.dumps({"ports": ports, "client_password": CLIENT_PASSWORD}), flush=True)
    for line in sys.stdin:
        if line.strip() == "counts":
            with counting:
                print(json.dumps(counts), flush=True)
    ended.set()


if __name__ == "__main__":
    main()
