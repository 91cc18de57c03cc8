#!/usr/bin/env python3
"""Preferred nodes, and nodes whose health check fails: which of several services wins, and that no duty waits for longer than it must."""

import base64
import collections
import contextlib
import http.client
import http.server
import json
import ssl
import threading
import time
import unittest

import e2e_support as e2e
from serve_tls_test import Authority
from service_support import Service, context_of, sign_request

DUTIES = 20
# Longer than what a loaded machine lets pass between requests that are sent together.
SECOND, THIRD = 1.5, 3.0


class HealthServer(http.server.ThreadingHTTPServer):
    """What an Aztec node has at /status, and the test decides what it says. `body` of None: it accepts and never answers."""

    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), HealthHandler)
        self.status, self.body, self.asked, self.authorization = 200, "OK", 0, None
        self.closing = threading.Event()
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that does not accept the certificate."""

    def url(self, scheme="http", user="", query=""):
        return f"{scheme}://{user}127.0.0.1:{self.server_address[1]}/status{query}"

    def end(self):
        self.closing.set()
        self.shutdown()
        self.server_close()


class HealthHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked += 1
        server.authorization = self.headers.get("Authorization")
        if server.body is None:
            server.closing.wait(30)
            return
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body.encode())

    def log_message(self, *_):
        pass


class PreferredCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.database = e2e.postgres().new_database()
        self.next_slot = 1

    def serve(self, node, *arguments, delay=0.0):
        if delay:
            arguments = (*arguments, "--claim-delay-ms", str(round(delay * 1000)))
        service = Service(self.folder.path, *arguments, database=self.database, node=node, name=node)
        self.addCleanup(service.stop)
        return service

    def health_server(self, *context):
        server = HealthServer(*context)
        self.addCleanup(server.end)
        return server

    def race(self, services):
        """Asks all services at the same time for the same proposals, each for data of its own. Returns how many each won, and how long the
        slowest winner took."""
        slots = range(self.next_slot, self.next_slot + DUTIES)
        self.next_slot += DUTIES
        signed, times, kinds = collections.defaultdict(list), {}, collections.Counter()
        begin = threading.Barrier(len(services))

        def ask(number, name, service):
            duties = [sign_request(f"0x{number:02x}", slot=slot, duty_type="BLOCK_PROPOSAL", index=0) for slot in slots]
            begin.wait()
            began = time.monotonic()
            results = service.post("/api/v1/sign", {"duties": duties}).json["results"]
            times[name] = time.monotonic() - began
            for slot, result in zip(slots, results):
                if "signature" in result:
                    signed[slot].append(name)
                else:
                    kinds[result["problem"]["type"].rsplit(":", 1)[1]] += 1

        askers = [threading.Thread(target=ask, args=(i + 1, name, service)) for i, (name, service) in enumerate(services.items())]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        self.assertEqual(sorted(signed), list(slots), "a duty was not signed")
        self.assertTrue(all(len(winners) == 1 for winners in signed.values()), "a duty has two messages")
        # Those that lost wanted other data.
        self.assertEqual(kinds, {"slashing_protection": DUTIES * (len(services) - 1)} if len(services) > 1 else {})
        won = collections.Counter(winners[0] for winners in signed.values())
        return dict(won), max(times[name] for name in won)


class ClaimDelays(PreferredCase):
    def test_the_preferred_node_wins_all_and_when_it_is_killed_the_next_one_does_within_its_delay(self):
        services = {"first": self.serve("first"), "second": self.serve("second", delay=SECOND), "third": self.serve("third", delay=THIRD)}
        won, took = self.race(services)
        self.assertEqual(won, {"first": DUTIES})
        self.assertLess(took, SECOND, "the preferred node waits for none")

        services["first"].kill()
        del services["first"]
        won, took = self.race(services)
        self.assertEqual(won, {"second": DUTIES})
        self.assertGreaterEqual(took, SECOND)
        self.assertLess(took, THIRD)
        self.assertEqual(services["second"].figure("ha_signer_held_back_count"), 2 * DUTIES)

        services = {"third": services["third"]}
        won, took = self.race(services)
        self.assertEqual(won, {"third": DUTIES})
        self.assertGreaterEqual(took, THIRD)

        services["first"] = self.serve("first")
        won, _ = self.race(services)
        self.assertEqual(won, {"first": DUTIES})

    def test_a_request_that_is_repeated_does_not_wait_again(self):
        service = self.serve("second", delay=SECOND)
        for longest, status in ((SECOND + 5, 200), (SECOND, 409)):
            began = time.monotonic()
            self.assertEqual(service.sign(slot=1).status, status)
            self.assertLess(time.monotonic() - began, longest)

    def test_validators_for_which_a_node_is_preferred_are_not_held_back(self):
        service = self.serve("second", "--preferred-validators", e2e.ADDRESS, delay=9)
        began = time.monotonic()
        self.assertEqual(service.sign(slot=1).status, 200)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(service.figure("ha_signer_held_back_count"), 0)

    def test_a_service_that_ends_does_not_wait_for_what_it_holds_back(self):
        service = self.serve("second", "--drain-timeout-ms", "100", delay=9)

        def ask():
            with contextlib.suppress(OSError, http.client.HTTPException):  # The service closes the connection.
                service.sign(slot=1)

        asker = threading.Thread(target=ask)
        asker.start()
        while service.figure("ha_signer_held_back_count") == 0:
            pass
        began = time.monotonic()
        self.assertEqual(service.stop(), 0)
        self.assertLess(time.monotonic() - began, 5)
        asker.join()
        self.assertEqual(e2e.postgres().sql("select count(*) from validator_duties", self.database.rsplit("/", 1)[1]).strip(), "0")

    def test_delays_that_leave_no_time_to_sign_are_refused_at_the_start(self):
        for arguments, words in (
                (("--claim-delay-ms", "10001"), "must be a whole number from 0 to 10000"),
                (("--claim-delay-ms", "1001", "--attempt-timeout-ms", "34000"), "--claim-delay-ms is '1001', but must be at most 1000"),
                (("--claim-delay-ms", "500", "--attempt-timeout-ms", "34000", "--health-url", "http://127.0.0.1:9/"),
                 "HA_SIGNER_HEALTH_DELAY_MS (by default) is '1000', but must be at most 500"),
                (("--preferred-validators", e2e.ADDRESS), "--preferred-validators is"),
                (("--health-refuses",), "--health-refuses is given, but HA_SIGNER_HEALTH_URL is not"),
                (("--health-url", "http://me:s3cret@host:99999/"), "--health-url is '(not shown)', but must be a URL")):
            service = Service(self.folder.path, *arguments, wait=False)
            service.process.wait(timeout=30)
            self.assertEqual(service.stop(), e2e.USAGE, arguments)
            self.assertIn(words, service.log())
            self.assertNotIn("s3cret", service.log())


class HealthChecks(PreferredCase):
    def checked(self, node, url, *arguments, failures=2, interval=1.0):
        return self.serve(node, "--health-url", url, "--health-interval-ms", str(round(interval * 1000)), "--health-failures", str(failures), *arguments)

    def health_of(self, service):
        answer = service.get("/readyz")
        check = next(check for check in answer.json["checks"] if check["name"] == "health")
        return answer.status, check["ok"], check.get("reason", "")

    def test_a_node_that_is_not_healthy_leaves_duties_to_others_and_signs_where_it_is_alone(self):
        health = self.health_server()
        first = self.checked("first", health.url(user="me:s3cret@", query="?token=hidden"), "--health-delay-ms", str(round(THIRD * 1000)))
        services = {"first": first, "second": self.serve("second", delay=SECOND)}
        won, _ = self.race(services)
        self.assertEqual(won, {"first": DUTIES})
        self.assertEqual(self.health_of(first), (200, True, ""))
        self.assertEqual(first.figure("ha_signer_health_check"), 1)

        health.status = 500
        line = first.wait_for("unhealthy")
        self.assertEqual(line["reason"], "the health URL answered with HTTP status 500")
        self.assertEqual(line["meaning"], "this node holds new duties back for 3000 ms more")
        won, took = self.race(services)
        self.assertEqual(won, {"second": DUTIES})
        self.assertLess(took, THIRD)
        status, passes, reason = self.health_of(first)
        self.assertEqual((status, passes), (200, False), "it could still sign")
        self.assertIn("this node holds back", reason)
        self.assertEqual(first.figure("ha_signer_health_check"), 0)
        self.assertEqual(first.figure("ha_signer_held_back_count"), DUTIES)

        services["second"].kill()
        won, took = self.race({"first": first})
        self.assertEqual(won, {"first": DUTIES})
        self.assertGreaterEqual(took, THIRD)

        health.status = 200
        first.wait_for("healthy")
        won, took = self.race({"first": first, "second": self.serve("second", delay=SECOND)})
        self.assertEqual(won, {"first": DUTIES})
        self.assertEqual(health.authorization, "Basic " + base64.b64encode(b"me:s3cret").decode())
        self.assertIn(health.url(), first.log())
        for secret in ("s3cret", "hidden", base64.b64encode(b"me:s3cret").decode()):
            self.assertNotIn(secret, first.log())

    def test_a_node_that_refuses_while_it_is_not_healthy_says_so_and_answers_for_duties_that_it_has_signed(self):
        health = self.health_server()
        service = self.checked("first", health.url(), "--health-refuses")
        self.assertEqual(service.sign(slot=1).status, 200)
        health.body = json.dumps({"ok": False, "components": {"p2p": {"healthy": False, "enabled": True, "connectedPeers": 0}}})
        service.wait_for("unhealthy")
        refused = service.sign(slot=2)
        self.assertEqual((refused.status, refused.kind), (503, "unhealthy"))
        self.assertIn("the health URL answered that the node is not ok", refused.json["detail"])
        self.assertEqual(service.rpc("eth_sign", e2e.ADDRESS, "0xab", context_of(3))["error"]["code"], -32029)
        claim = service.post("/api/v1/duties/claim", {"validator": "0x" + "22" * 20, "context": context_of(2), "messageHash": e2e.HASH})
        self.assertEqual((claim.status, claim.kind), (503, "unhealthy"))
        self.assertEqual(service.sign(slot=1).kind, "duty_already_signed")
        self.assertEqual(service.sign(slot=4, duty_type="AUTH_REQUEST").status, 200)
        self.assertEqual(self.health_of(service)[:2], (503, False))
        self.assertEqual(service.figure("ha_signer_ready"), 0)
        self.assertEqual(service.figure("ha_signer_unhealthy_count"), 3)
        health.body = "OK"
        service.wait_for("healthy")
        self.assertEqual(service.sign(slot=2).status, 200)
        self.assertEqual(self.health_of(service), (200, True, ""))

    def test_no_duty_waits_for_a_health_url_that_does_not_answer(self):
        health = self.health_server()
        health.body = None
        service = self.checked("first", health.url(), failures=3, interval=0.2)
        longest = 0
        while health.asked < 3:
            began = time.monotonic()
            self.assertEqual(service.sign(slot=self.next_slot).status, 200)
            longest = max(longest, time.monotonic() - began)
            self.next_slot += 1
        self.assertLess(longest, 0.2 * 3 + 2)
        self.assertEqual(service.wait_for("unhealthy")["reason"], "the health URL did not answer in time")
        self.assertEqual(service.stop(), 0)

    def test_a_health_url_over_tls_must_show_a_certificate_that_is_accepted(self):
        authority = Authority(self.folder.path, "ours")
        certificate, key = authority.issue("server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        health = self.health_server(context)
        accepted = self.checked("first", health.url("https"), "--remote-ca-file", str(authority.certificate), failures=1, interval=5)
        refused = self.checked("second", health.url("https"), failures=1, interval=5)
        self.assertIn("showed a certificate that is not accepted", refused.wait_for("unhealthy")["reason"])
        while health.asked == 0:
            pass
        self.assertEqual(self.health_of(accepted), (200, True, ""))


if __name__ == "__main__":
    e2e.main()
