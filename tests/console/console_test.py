#!/usr/bin/env python3
"""The console in a real Chromium: python3 console_test.py PROGRAM. Pictures: $HASIGNER_CONSOLE_PICTURES."""

import http.client
import json
import os
import signal
import time
import unittest

import console_support
from console_support import DESKTOP, NARROW, Browser

import e2e_support as e2e
from service_support import Service, key_of

OTHER = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"  # private key 2
THIRD = "0x6813eb9362372eef6200f3b1dbc3f819671cba69"  # private key 3
MARKUP = '"><img src=x onerror="window.hit=1"><script>window.hit=2</script>'
_browser = None


def browser():
    """One for all tests; each begins with a page of its own."""
    global _browser
    if _browser is None:
        _browser = Browser()
        unittest.addModuleCleanup(_browser.stop)
    return _browser


def cell(validator, slot):
    """The expression for a cell of the grid."""
    return f"document.querySelector('#grid td[aria-label^=\"slot {slot}, validator {validator.lower()}\"]')"


class ConsoleCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.browser = browser()
        self.browser.do("fresh")
        self.browser.size(DESKTOP)
        self.expected = 0

    def serve(self, *arguments, **more):
        service = Service(self.folder.path, *arguments, **more)
        self.addCleanup(service.stop)
        return service

    @staticmethod
    def client(name, rights, *restrictions):
        """A line for the clients file, and the token."""
        made = json.loads(e2e.run("token", "--name", name, "--rights", rights, "--json").stdout)
        return " ".join((made["line"], *restrictions)) + "\n", made["token"]

    def url(self, service):
        return f"http://{service.addresses[0]}/console"

    def open(self, service, token=None):
        self.browser.do("open", url=self.url(service))
        if token:
            self.log_in(token)
        self.browser.wait("!document.getElementById('app').hidden")
        self.browser.wait("document.getElementById('live').textContent === 'Live'")

    def log_in(self, token):
        self.browser.wait("!document.getElementById('login').hidden")
        self.browser.do("click", selector="#token")
        self.browser.do("type", text=token)
        self.browser.press("Enter")

    def calm(self, *, allowed=()):
        """The browser has nothing to complain about: no error of a script, no violation of the policy, no foreign address."""
        complaints = [one for one in self.browser.do("complaints") if not any(part in one for part in allowed)]
        self.assertEqual(complaints, [])

    def check_look(self, name):
        """Pictures on a wide and a narrow screen, light and dark; contrasts in all of them."""
        for scheme in ("light", "dark"):
            self.browser.prefer(color_scheme=scheme)
            for size, width in ((DESKTOP, "wide"), (NARROW, "narrow")):
                self.browser.size(size)
                self.browser.picture(f"{name}-{width}-{scheme}", whole=width == "narrow" and not self.browser.evaluate("!!document.querySelector('dialog[open]')"))
                self.assertEqual(self.browser.low_contrasts(), [], (name, scheme, width))
                self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), size[0], (name, width))
        self.browser.prefer(color_scheme="light")
        self.browser.size(DESKTOP)


class OpenServiceTests(ConsoleCase):
    """Without a clients file: a person at the machine."""

    def test_shows_duties_as_they_are_signed_without_a_token(self):
        service = self.serve(keys=[key_of(1), key_of(2)])
        self.open(service)
        self.browser.wait("document.getElementById('empty').innerText.includes('No duty')")
        self.assertIn("Ready", self.browser.text("#ready"))
        self.assertIn("no clients file", self.browser.text("#who"))
        self.check_look("empty")
        self.assertEqual(service.sign(slot=70).status, 200)
        self.browser.wait(f"{cell(e2e.ADDRESS, 70)}?.ariaLabel.includes('attestation signed by local')")
        self.assertEqual(service.sign("0xcd", slot=70).status, 412)
        self.browser.wait(f"{cell(e2e.ADDRESS, 70)}.ariaLabel.includes('refused: other data is signed')")
        self.browser.wait("document.querySelector('#problems li').innerText.includes('slot 70')")
        self.calm()

    def test_says_that_it_is_not_live_and_closes_the_gap_when_the_service_is_back(self):
        address = f"127.0.0.1:{e2e.free_port()}"
        service = self.serve(listen=address)
        self.open(service)
        self.assertEqual(service.sign(slot=70).status, 200)
        self.browser.wait(f"!!{cell(e2e.ADDRESS, 70)}")
        service.stop()
        self.browser.wait("document.getElementById('live').textContent.startsWith('Not live since')")
        self.browser.picture("not-live-wide-light")
        again = self.serve(listen=address)
        self.assertEqual(again.sign(slot=71).status, 200)
        self.browser.wait("document.getElementById('live').textContent === 'Live'", timeout=40)
        self.browser.wait(f"!!{cell(e2e.ADDRESS, 71)} && document.getElementById('notice').hidden")
        self.calm(allowed=("Failed to load resource", "net::ERR"))


class SessionTests(ConsoleCase):
    def setUp(self):
        super().setUp()
        self.line, self.token = self.client("anna", "sign,read")
        self.other_line, _ = self.client("berta", "read")

    def test_a_token_opens_a_session_that_holds_no_token(self):
        service = self.serve(clients=self.line)
        self.browser.do("open", url=self.url(service))
        self.log_in("hs_" + "0" * 64)
        self.browser.wait("document.getElementById('login-error').innerText === 'No client has this token.'")
        self.check_look("login")
        self.calm(allowed=("401",))
        self.browser.evaluate("document.getElementById('token').value = ''")
        self.log_in(self.token)
        self.browser.wait("document.getElementById('live').textContent === 'Live'")
        self.assertIn("anna", self.browser.text("#who"))
        (cookie,) = self.browser.do("cookies")
        self.assertEqual((cookie["httpOnly"], cookie["sameSite"], cookie["secure"]), (True, "Strict", False))
        kept = self.browser.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, document.getElementById('token').value])")
        self.assertNotIn(self.token.removeprefix("hs_"), kept + cookie["value"])
        self.assertNotIn(cookie["value"], kept)
        self.browser.do("open", url=self.url(service))
        self.browser.wait("document.getElementById('live').textContent === 'Live'")
        headers = self.headers_of(cookie)
        self.assertEqual(service.get("/api/v1/duties", headers=headers).status, 200)
        self.browser.do("click", selector="#logout")
        self.browser.wait("!document.getElementById('login').hidden")
        self.assertEqual(service.get("/api/v1/duties", headers=headers).status, 401)
        self.assertEqual(self.browser.do("cookies"), [])
        self.calm()

    def headers_of(self, cookie):
        return {"Cookie": f"{cookie['name']}={cookie['value']}", "X-HA-Signer-Console": self.browser.evaluate("localStorage.getItem('ha-signer-console')")}

    def test_a_session_signs_nothing_and_needs_both_secrets(self):
        service = self.serve(clients=self.line + self.other_line)
        port = service.addresses[0].rsplit(":", 1)[1]
        opened = service.post("/console/session", None, token=self.token)
        cookie = opened.headers["set-cookie"].split(";")[0]
        self.assertEqual(opened.headers["set-cookie"].split("; ")[1:], ["Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Strict"])
        self.assertTrue(cookie.startswith(f"ha-signer-console-{port}="))
        both = {"Cookie": cookie, "X-HA-Signer-Console": opened.json["key"]}
        for path in ("/api/v1/duties", "/api/v1/nodes", "/api/v1/watermarks", "/api/v1/problems", "/metrics"):
            self.assertEqual(service.get(path, headers=both).status, 200, path)
        for missing in both:
            headers = {name: value for name, value in both.items() if name != missing}
            self.assertEqual(service.get("/api/v1/duties", headers=headers).status, 401, missing)
            self.assertEqual(service.get("/console/session", headers=headers).json, {"known": False})
        other = service.post("/console/session", None, token=self.token).json["key"]
        self.assertEqual(service.get("/api/v1/duties", headers=both | {"X-HA-Signer-Console": other}).status, 401)
        refused = service.sign(headers=both)
        self.assertEqual((refused.status, refused.kind), (403, "forbidden"))
        self.assertEqual(service.sign(token=self.token).status, 200)
        self.assertEqual(service.post("/reload", None, headers=both).status, 403)

    def test_a_session_operates_where_its_client_may_and_only_for_the_page_itself(self):
        line, token = self.client("olga", "sign,read,operate")
        service = self.serve(clients=line + self.line)
        host = service.addresses[0]
        opened = service.post("/console/session", None, token=token)
        both = {"Cookie": opened.headers["set-cookie"].split(";")[0], "X-HA-Signer-Console": opened.json["key"]}
        own, other = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}, {"Origin": "http://evil.example"}
        self.assertEqual(service.post("/api/v1/drain", None, headers=both | own).status, 200)
        self.assertEqual(service.post("/api/v1/undrain", None, headers=both).status, 200)
        self.assertEqual(service.post("/api/v1/keys/disable", {"address": OTHER}, headers=both | own).status, 200)
        for path in ("/api/v1/drain", "/reload"):
            self.assertEqual(service.post(path, None, headers=both | other).status, 403)
            # A token is not for pages, and one secret is not a session.
            self.assertEqual(service.post(path, None, token=token, headers=own).status, 403)
            self.assertEqual(service.post(path, None, headers={"Cookie": both["Cookie"]} | own).status, 403)
        self.assertEqual(service.sign(headers=both | own).status, 403)
        self.assertEqual(service.sign(headers=both).status, 403)
        self.assertEqual(service.get("/readyz").status, 200)

    def test_an_operator_drains_reloads_and_disables_keys_with_the_keyboard(self):
        line, token = self.client("olga", "sign,read,operate")
        service = self.serve(clients=line, keys=[key_of(1), key_of(2)])
        self.open(service, token)
        self.browser.wait("!document.getElementById('admin-section').hidden && document.querySelectorAll('#keys li').length === 2")
        self.check_look("administration")

        def press(selector, answer):
            self.browser.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
            self.browser.press("Enter")
            self.browser.wait("document.querySelector('#confirm[open]') !== null && document.activeElement.id === 'confirm-no'")
            self.browser.press(*answer)
            self.browser.wait("document.querySelector('#confirm[open]') === null")

        yes = ("Tab", "Enter")
        press("#drain", ("Escape",))
        self.assertEqual(self.browser.evaluate("document.activeElement.id"), "drain")
        press("#drain", ("Enter",))
        self.assertEqual(service.get("/readyz").status, 200)
        press("#drain", yes)
        self.browser.wait("document.getElementById('admin-state').innerText.startsWith('Drained since')")
        self.assertEqual(service.get("/readyz").status, 503)
        press("#drain", yes)
        self.browser.wait("document.getElementById('admin-state').innerText.startsWith('Signs')")
        press("#reload", yes)
        self.browser.wait("document.getElementById('admin-note').innerText === 'Reloaded: 2 attesters, 1 clients.'")
        press(f"#keys button[data-address='{OTHER}']", yes)
        self.browser.wait("document.getElementById('keys').innerText.includes('disabled')")
        self.assertEqual(service.sign(validator=OTHER, token=token).kind, "key_disabled")
        self.browser.picture("administration-disabled-wide-light")
        press(f"#keys button[data-address='{OTHER}']", yes)
        self.browser.wait("!document.getElementById('keys').innerText.includes('disabled')")
        self.assertEqual(service.sign(validator=OTHER, token=token).status, 200)
        self.browser.do("click", selector="#watermark-low")
        self.browser.do("type", text="90")
        self.assertEqual(self.browser.evaluate("['watermark-validator', 'watermark-type'].map((id) => document.getElementById(id).value).join()"), ",")
        self.browser.evaluate("document.querySelector('#watermark-form button').click()")
        self.assertEqual(self.browser.evaluate("[document.querySelector('#confirm[open]') === null, document.getElementById('watermark-form').checkValidity()].join()"), "true,false")
        for name in ("validator", "type"):
            self.browser.evaluate(f"document.getElementById('watermark-{name}').value = 'all'")
        press("#watermark-form button", yes)
        self.browser.wait("document.getElementById('admin-note').innerText === '12 watermarks set.'")
        self.assertEqual(service.sign(slot=90, token=token).kind, "outside_watermark")
        self.browser.evaluate("document.getElementById('watermark-validator').value = 'every'")
        press("#watermark-form button", yes)
        self.browser.wait("document.getElementById('admin-note').innerText === '6 watermarks set.'")
        self.browser.wait("document.getElementById('watermarks').innerText.includes('every')")
        self.calm(allowed=("503",))

    def test_who_only_reads_sees_no_administration(self):
        service = self.serve(clients=self.line)
        self.open(service, self.token)
        self.assertTrue(self.browser.evaluate("document.getElementById('admin-section').hidden"))
        self.calm()

    def test_a_session_begins_with_a_token_that_may_read_and_not_from_another_page(self):
        line, signs_only = self.client("carla", "sign")
        service = self.serve(clients=self.line + line)
        host = service.addresses[0]
        self.assertEqual(service.post("/console/session", None).status, 401)
        self.assertEqual(service.post("/console/session", None, token=signs_only).status, 403)
        for headers, status in (({"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}, 200), ({"Origin": "http://evil.example"}, 403),
                                ({"Origin": "null"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403), ({"Origin": f"http://{host}", "Sec-Fetch-Site": "same-site"}, 403)):
            self.assertEqual(service.post("/console/session", None, token=self.token, headers=headers).status, status, headers)
        # Nowhere else may a page, even its own, name its origin.
        self.assertEqual(service.sign(token=self.token, headers={"Origin": f"http://{host}"}).status, 403)
        self.assertEqual(service.get("/api/v1/duties", token=self.token, headers={"Origin": f"http://{host}"}).status, 403)

    def test_a_service_that_serves_every_caller_needs_no_session(self):
        service = self.serve()
        self.assertEqual(service.post("/console/session", None).status, 400)
        known = service.get("/console/session").json
        self.assertEqual((known["known"], known["clientsFile"]), (True, False))
        self.assertEqual(service.get("/console", headers={"Host": "evil.example"}).status, 403)
        self.assertEqual(service.get("/console/session", headers={"Host": "evil.example"}).status, 403)

    def test_the_files_of_the_console_may_run_and_load_nothing_else(self):
        service = self.serve(clients=self.line)
        for path, kind in (("/console", "text/html"), ("/console/console.css", "text/css"), ("/console/console.js", "text/javascript"), ("/console/icon.svg", "image/svg+xml")):
            answer = service.get(path)
            self.assertEqual(answer.headers["content-type"].split(";")[0], kind)
            policy = answer.headers["content-security-policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            for foreign in ("//fonts", "cdn.", "<style", " style=", "onclick="):
                self.assertNotIn(foreign, answer.text)

    def test_the_path_with_a_slash_leads_to_the_page(self):
        service = self.serve()
        answer = service.get("/console/")
        self.assertEqual((answer.status, answer.headers["location"]), (308, "../console"))
        self.browser.do("open", url=f"http://{service.addresses[0]}/console/")
        self.calm()
        self.assertTrue(self.browser.evaluate("location.pathname") == "/console")

    def test_a_session_ends_with_its_client(self):
        service = self.serve(clients=self.line + self.other_line)
        self.open(service, self.token)
        self.calm()
        service.write_clients(self.other_line)
        service.process.send_signal(signal.SIGHUP)
        self.browser.wait("!document.getElementById('login').hidden", timeout=15)
        self.assertIn("The session has ended", self.browser.text("#login-error"))
        self.assertNotIn(e2e.ADDRESS.lower(), self.browser.evaluate("document.getElementById('app').hidden ? '' : document.body.innerText"))

    def test_a_log_out_ends_the_stream_of_the_session(self):
        service = self.serve(clients=self.line)
        opened = service.post("/console/session", None, token=self.token)
        both = {"Cookie": opened.headers["set-cookie"].split(";")[0], "X-HA-Signer-Console": opened.json["key"]}
        connection = service.connection()
        self.addCleanup(connection.close)
        connection.request("GET", "/api/v1/events", headers=both)
        stream = connection.getresponse()
        self.assertEqual(stream.readline(), b"retry: 1000\n")
        self.assertEqual(service.post("/console/logout", None, headers=both).json, {"loggedOut": True})
        stream.read()
        self.assertEqual(service.post("/console/logout", None, headers=both).status, 401)

    def test_a_client_sees_its_own_validators_only(self):
        line, token = self.client("one", "read", f"validators={OTHER}")
        service = self.serve(clients=self.line + line, keys=[key_of(1), key_of(2)])
        for validator in (e2e.ADDRESS, OTHER):
            self.assertEqual(service.sign(slot=7, validator=validator, token=self.token).status, 200)
            self.assertEqual(service.sign("0xcd", slot=7, validator=validator, token=self.token).status, 412)
        self.assertEqual([one["duty"]["validator"] for one in service.get("/api/v1/problems", token=token).json["problems"]], [OTHER])
        self.assertEqual(len(service.get("/api/v1/problems", token=self.token).json["problems"]), 2)
        self.open(service, token)
        self.browser.wait(f"!!{cell(OTHER, 7)}")
        self.assertIn("1 validator only", self.browser.text("#who"))
        for validator in (e2e.ADDRESS, OTHER):
            self.assertEqual(service.sign(slot=8, validator=validator, token=self.token).status, 200)
            self.assertEqual(service.sign("0xcd", slot=8, validator=validator, token=self.token).status, 412)
        self.browser.wait(f"{cell(OTHER, 8)}?.ariaLabel.includes('refused')")
        everything = self.browser.evaluate("document.documentElement.outerHTML").lower()
        self.assertNotIn(e2e.ADDRESS.lower(), everything)
        self.calm()


class ClusterTests(ConsoleCase):
    """Three nodes on PostgreSQL, and rows that other programs wrote."""

    VALIDATORS = (e2e.ADDRESS, OTHER, THIRD)

    def setUp(self):
        super().setUp()
        self.database = e2e.postgres().new_database()
        self.name = self.database.rsplit("/", 1)[1]

    def node(self, number, *arguments, **more):
        return self.serve(*arguments, database=self.database, node=f"node-{number}", name=f"node-{number}", keys=[key_of(1), key_of(2), key_of(3)], **more)

    def insert(self, *, slot, validator=THIRD, node="node-2", status="signed", duty_type="ATTESTATION", index=-1, token="f" * 32, age="1 second", message_hash=e2e.HASH):
        signature, completed = ("'0x" + "5a" * 65 + "'", "(now() at time zone 'UTC')") if status == "signed" else ("null", "null")
        e2e.postgres().sql(
            "insert into validator_duties (rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status, "
            f"message_hash, signature, node_id, lock_token, started_at, completed_at) values ('{e2e.ROLLUP}', '{validator.lower()}', {slot}, {slot * 2}, {index}, "
            f"'{duty_type}', '{status}', '{message_hash}', {signature}, $t${node}$t$, '{token}', (now() at time zone 'UTC') - interval '{age}', {completed})", self.name)

    def a_day(self, nodes):
        """Duties of three validators by three nodes, with all that may be marked."""
        for slot in range(100, 116):
            for i, validator in enumerate(self.VALIDATORS):
                if (slot + i) % 5 == 4:
                    continue
                node = nodes[(slot + i) % 3]
                if (slot + i) % 7 == 0:
                    for index in range(3):
                        self.assertEqual(node.sign(slot=slot, validator=validator, duty_type="BLOCK_PROPOSAL", index=index).status, 200)
                    for duty_type in ("CHECKPOINT_PROPOSAL", "ATTESTATIONS_AND_SIGNERS"):
                        self.assertEqual(node.sign(slot=slot, validator=validator, duty_type=duty_type).status, 200)
                self.assertEqual(node.sign(slot=slot, validator=validator).status, 200)
        for service in nodes:
            service.sign(slot=110, validator=OTHER)
        self.assertEqual(nodes[0].sign("0xcd", slot=112, validator=OTHER).status, 412)
        for validator in (e2e.ADDRESS, OTHER):
            done = e2e.run("watermark", "set", "--database-url", self.database, "--rollup", e2e.ROLLUP, "--validator", validator, "--duty-type", "GOVERNANCE_VOTE", "--low", "105", "--yes")
            self.assertEqual(done.returncode, 0, done.stderr)
        refused = nodes[0].sign(slot=104, validator=OTHER, duty_type="GOVERNANCE_VOTE")
        self.assertEqual((refused.status, refused.kind), (412, "outside_watermark"))

    def test_shows_who_signed_what_and_the_story_of_a_cell(self):
        nodes = [self.node(number, "--signing-timeout-ms", "300") for number in (1, 2, 3)]
        self.a_day(nodes)
        # A node of the published package has begun a duty and is gone; the same data is then signed here: a takeover.
        asked = nodes[0].sign(slot=115, validator=THIRD, duty_type="SLASHING_VOTE").json
        self.insert(slot=116, validator=THIRD, duty_type="SLASHING_VOTE", node="published-7", status="signing", message_hash=asked["messageHash"])
        self.open(nodes[0])
        taken = nodes[0].sign(slot=116, validator=THIRD, duty_type="SLASHING_VOTE")
        self.assertEqual(taken.status, 200, taken.text)
        # Another one is in doubt: nothing signs it any more.
        self.insert(slot=114, validator=THIRD, duty_type="GOVERNANCE_VOTE", node="published-7", status="signing", age="10 minutes")
        for expected, validator, slot in (("taken over", THIRD, 116), ("refused: other data is signed", OTHER, 112), ("refused: outside the watermarks", OTHER, 104), ("in doubt", THIRD, 114)):
            self.browser.wait(f"{cell(validator, slot)}?.ariaLabel.includes({json.dumps(expected)})")
        self.browser.wait("document.querySelectorAll('#nodes li').length === 4")
        for number in (1, 2, 3):
            self.assertIn(f"node-{number}", self.browser.text("#nodes"))
        self.assertEqual(self.browser.text("#nodes").count("lease runs"), 3)
        self.assertIn("not in the registry", self.browser.text("#nodes"))
        self.browser.wait("document.getElementById('doubts').innerText.includes('slot 114')", timeout=40)
        self.assertIn("105", self.browser.text("#watermarks"))
        self.check_look("cluster")

        self.browser.evaluate(f"{cell(OTHER, 112)}.click()")
        self.browser.wait("document.querySelector('#story[open] ol')?.innerText.includes('refused: other data is signed')")
        story = self.browser.text("#story")
        row = nodes[0].get(f"/api/v1/duties?slot=112&validator={OTHER}&dutyType=ATTESTATION").json["duties"][0]
        for wanted in ("Slot 112", OTHER, row["nodeId"], row["messageHash"], row["signature"][:12], "claimed", "signed: the store has confirmed it", "for client anonymous"):
            self.assertIn(wanted, story)
        self.assertNotIn(row["signature"], story)
        self.check_look("story")
        self.browser.press("Escape")
        self.browser.wait("!document.querySelector('#story[open]')")
        self.assertIn("slot 112", self.browser.focused())
        self.browser.evaluate(f"{cell(THIRD, 116)}.click()")
        self.browser.wait("document.querySelector('#story[open] ol')?.innerText.includes('taken over')")
        self.browser.picture("story-takeover-wide-light")
        self.browser.press("Escape")
        self.calm()

    def test_is_used_with_the_keyboard_alone(self):
        nodes = [self.node(number) for number in (1, 2, 3)]
        self.a_day(nodes)
        self.open(nodes[0])
        self.browser.wait(f"!!{cell(e2e.ADDRESS, 110)}")
        for _ in range(12):
            if self.browser.evaluate("document.activeElement.closest('#grid td') !== null"):
                break
            self.browser.press("Tab")
        order = sorted(validator.lower() for validator in self.VALIDATORS)
        self.assertTrue(self.browser.focused().startswith(f"slot 115, validator {order[0]}"), self.browser.focused())
        outline = self.browser.evaluate("(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))")
        self.assertEqual(outline, ["solid", "3px"])
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#grid td[tabindex=\"0\"]').length"), 1)
        for key, slot, row in (("ArrowRight", 114, 0), ("ArrowDown", 114, 1), ("ArrowLeft", 115, 1), ("ArrowLeft", 115, 1), ("End", 100, 1), ("ArrowRight", 100, 1), ("Home", 115, 1), ("PageDown", 115, 2), ("ArrowUp", 115, 1)):
            self.browser.press(key)
            self.assertTrue(self.browser.focused().startswith(f"slot {slot}, validator {order[row]}"), (key, self.browser.focused()))
        self.browser.do("chord", held="Control", key="Home")
        self.assertTrue(self.browser.focused().startswith(f"slot 115, validator {order[0]}"), self.browser.focused())
        self.assertIn(f"slot 115 · {order[0]}", self.browser.text("#cell-note"))
        self.browser.picture("keyboard-wide-light")
        while "no duty" in (label := self.browser.focused()):
            self.browser.press("ArrowRight")
        self.browser.press("Enter")
        self.browser.wait("document.querySelector('#story[open] article') !== null")
        self.assertTrue(self.browser.evaluate("document.getElementById('story').contains(document.activeElement)"))
        for _ in range(4):  # the focus stays in the story
            self.browser.press("Tab")
            self.assertTrue(self.browser.evaluate("document.activeElement === document.body || document.getElementById('story').contains(document.activeElement)"))
        # A duty comes meanwhile, and moves the columns.
        self.assertEqual(nodes[1].sign(slot=120).status, 200)
        self.browser.wait(f"!!{cell(e2e.ADDRESS, 120)}")
        self.browser.press("Escape")
        self.browser.wait(f"document.activeElement.ariaLabel === {json.dumps(label)}")
        self.browser.press("ArrowLeft")
        self.assertNotEqual(self.browser.focused(), label)
        self.calm()

    def test_finds_its_way_on_a_narrow_screen(self):
        nodes = [self.node(number) for number in (1, 2, 3)]
        self.a_day(nodes)
        self.browser.size(NARROW)
        self.open(nodes[0])
        self.browser.wait(f"!!{cell(OTHER, 112)}")
        self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), NARROW[0])
        # Everything that is touched is large enough for a finger, but the links in texts: WCAG 2.2, 2.5.8.
        small = self.browser.evaluate("[...document.querySelectorAll('button:not(.link), input, #grid td.full')].filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect())"
                                      ".filter((box) => box.width < 24 || box.height < 24).length")
        self.assertEqual(small, 0)
        self.browser.evaluate("document.querySelector('#grid td.full').focus()")
        self.browser.press("End")
        inside = self.browser.evaluate("(() => { const a = document.activeElement.getBoundingClientRect(), s = document.getElementById('scroller').getBoundingClientRect();"
                                       " const h = document.querySelector('#grid th').getBoundingClientRect(); return a.left >= h.right - 1 && a.right <= s.right + 1; })()")
        self.assertTrue(inside)
        self.browser.do("type", text="")
        self.browser.evaluate(f"{cell(OTHER, 112)}.click()")
        self.browser.wait("document.querySelector('#story[open] article') !== null")
        self.assertEqual(self.browser.evaluate("document.getElementById('story').getBoundingClientRect().width"), NARROW[0])
        self.browser.do("click", selector="#story-close")
        self.browser.wait("!document.querySelector('#story[open]')")
        self.calm()

    def test_text_that_others_wrote_is_only_text(self):
        service = self.node(1)
        self.insert(slot=50, node=MARKUP)
        self.insert(slot=51, node=MARKUP, status="signing", age="10 minutes")
        self.insert(slot=52, node="\u202eedon", message_hash="<b>hash</b>")
        self.open(service)
        self.browser.wait(f"{cell(THIRD, 50)}?.ariaLabel.includes('onerror')")
        self.browser.wait("document.getElementById('doubts').innerText.includes('onerror')")
        self.browser.evaluate(f"{cell(THIRD, 50)}.click()")
        self.browser.wait("document.querySelector('#story[open] article')?.innerText.includes('onerror')")
        self.browser.press("Escape")
        self.insert(slot=53, node=MARKUP)
        self.browser.wait(f"!!{cell(THIRD, 53)}")
        self.assertEqual(self.browser.evaluate("[window.hit ?? null, document.querySelectorAll('img, body script').length]"), [None, 0])
        self.assertNotIn("\u202e", self.browser.evaluate("document.documentElement.outerHTML"))
        # The policy itself: what is injected does not run.
        self.browser.evaluate("(() => { const script = document.createElement('script'); try { script.text = 'window.hit = 3'; } catch {} document.head.append(script); })()")
        self.assertIsNone(self.browser.evaluate("window.hit ?? null"))
        self.browser.picture("markup-wide-light")
        self.calm(allowed=("Content Security Policy", "TrustedScript", "Trusted Type"))

    def test_shows_many_validators_page_by_page(self):
        service = self.node(1)
        e2e.postgres().sql(
            "insert into validator_duties (rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status, message_hash, signature, node_id, lock_token, started_at, completed_at) "
            f"select '{e2e.ROLLUP}', '0x' || substr(encode(sha256(('v' || v)::bytea), 'hex'), 1, 40), s, s, case t when 0 then -1 else 0 end, case t when 0 then 'ATTESTATION' else 'BLOCK_PROPOSAL' end, "
            f"'signed', '{e2e.HASH}', '0x' || repeat('5a', 65), 'node-' || (1 + (v + s) % 9), repeat('f', 32), (now() at time zone 'UTC') - interval '9 s', (now() at time zone 'UTC') "
            "from generate_series(1, 230) v, generate_series(1000, 1044) s, generate_series(0, 1) t where (t = 0 and (v * 7 + s * 3) % 5 = 0) or (t = 1 and (s * 31) % 230 = v)", self.name)
        began = time.monotonic()
        self.open(service)
        self.browser.wait("document.querySelectorAll('#grid tbody tr').length === 100")
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#grid thead th').length"), 33)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#grid thead th')[1].textContent"), "1044")
        self.assertIn("validators 1 to 100 of 230", self.browser.text("#cell-note"))
        self.check_look("many")
        self.browser.do("click", selector="#next-page")
        self.browser.do("click", selector="#next-page")
        self.browser.wait("document.querySelectorAll('#grid tbody tr').length === 30")
        self.browser.do("click", selector="#older")
        self.browser.wait("document.querySelectorAll('#grid thead th')[1].textContent === '1012'")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#grid thead th').length"), 14)
        self.browser.do("click", selector="#newest")
        self.browser.wait("document.querySelectorAll('#grid thead th')[1].textContent === '1044'")
        first = self.browser.evaluate("document.querySelector('#grid tbody th').title")
        self.browser.do("click", selector="#filter")
        self.browser.do("type", text=first[2:8].upper())
        self.browser.wait("document.querySelectorAll('#grid tbody tr').length === 1")
        self.assertEqual(self.browser.evaluate("document.querySelector('#grid tbody th').title"), first)
        self.calm()

    def test_moves_nothing_for_people_who_ask_for_less_motion(self):
        service = self.node(1)
        self.open(service)
        for motion, animation in (("reduce", "none"), ("no-preference", "fresh")):
            self.browser.prefer(reduced_motion=motion)
            name = self.browser.evaluate("(() => { const probe = document.createElement('div'); probe.className = 'fresh'; document.body.append(probe);"
                                         " const name = getComputedStyle(probe).animationName; probe.remove(); return name; })()")
            self.assertEqual(name, animation)

    def test_says_why_the_service_is_not_ready(self):
        line, token = self.client("anna", "read")
        service = self.node(1, clients=line)
        self.open(service, token)
        self.browser.wait("document.getElementById('ready').textContent === 'Ready'")
        e2e.postgres().stop("immediate")
        try:
            self.browser.wait("document.getElementById('ready').textContent === 'Not ready'", timeout=40)
            self.browser.wait(f"document.getElementById('checks').innerText.includes('{e2e.postgres().port}')")
            self.assertTrue(self.browser.text("#live").startswith("Not live since"))
            self.check_look("not-ready")
        finally:
            e2e.postgres().start()
        self.browser.wait("document.getElementById('ready').textContent === 'Ready' && document.getElementById('live').textContent === 'Live'", timeout=90)
        self.calm(allowed=("503",))


if __name__ == "__main__":
    e2e.main()
