#!/usr/bin/env python3
"""Two services on one database: each duty gets one message in every case, and their requests share batches."""

import collections
import http.client
import json
import threading
import unittest

import e2e_support as e2e
from e2e_support import ADDRESS
from service_support import Service, context_of, key_of, sign_request

VALIDATORS = 20


class RaceTests(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.database = e2e.postgres().new_database()
        self.name = self.database.rsplit("/", 1)[1]
        self.keys = [key_of(i + 1) for i in range(VALIDATORS)]

    def serve(self, node, *arguments):
        service = Service(self.folder.path, *arguments, database=self.database, node=node, name=node, keys=self.keys)
        self.addCleanup(service.stop)
        return service

    def rows(self):
        text = e2e.postgres().sql("select validator_address || ' ' || slot || ' ' || duty_type, message_hash, signature from validator_duties "
                                  "where status = 'signed'", self.name)
        return {duty: (message, signature) for duty, message, signature in (line.split("|") for line in text.splitlines())}

    def test_each_duty_gets_one_message_though_two_services_are_asked_for_different_ones_by_every_route(self):
        services = [self.serve("node-1"), self.serve("node-2")]
        validators = services[0].rpc("eth_accounts")["result"]
        slots = range(1, 11)
        released = collections.defaultdict(set)
        guard = threading.Lock()
        begin = threading.Barrier(8)

        def keep(validator, slot, signature):
            with guard:
                released[f"{validator} {slot} ATTESTATION"].add(signature)

        def ask(service, author, route):
            begin.wait()
            for slot in slots:
                message = f"0x{author:02x}{slot:02x}"
                if route == "many":
                    requests = [sign_request(message, slot=slot, validator=validator) for validator in validators]
                    for validator, result in zip(validators, service.post("/api/v1/sign", {"duties": requests}).json["results"]):
                        if "signature" in result:
                            keep(validator, slot, result["signature"])
                elif route == "batch":
                    calls = [{"jsonrpc": "2.0", "id": i, "method": "eth_sign", "params": [validator, message, context_of(slot)]}
                             for i, validator in enumerate(validators)]
                    for validator, answer in zip(validators, service.post("/", calls).json):
                        if "result" in answer:
                            keep(validator, slot, answer["result"])
                elif route == "single":
                    for validator in validators:
                        answer = service.sign(message, slot=slot, validator=validator)
                        if answer.status == 200:
                            keep(validator, slot, answer.json["signature"])
                else:
                    for validator in validators:
                        answer = service.rpc("personal_sign", message, validator, context_of(slot))
                        if "result" in answer:
                            keep(validator, slot, answer["result"])

        askers = [threading.Thread(target=ask, args=(services[i % 2], i, route))
                  for i, route in enumerate(("many", "batch", "single", "personal") * 2)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        rows = self.rows()
        self.assertEqual(len(rows), VALIDATORS * len(slots))
        self.assertEqual({duty: {signature} for duty, (_, signature) in rows.items()}, dict(released))

    def test_a_service_that_is_killed_with_requests_in_flight_leaves_no_duty_with_two_messages(self):
        first, second = self.serve("node-1"), self.serve("node-2")
        validators = first.rpc("eth_accounts")["result"]
        released = collections.defaultdict(set)
        guard = threading.Lock()

        def ask(service, message, slots):
            for slot in slots:
                requests = [sign_request(message, slot=slot, validator=validator) for validator in validators]
                try:
                    results = service.post("/api/v1/sign", {"duties": requests}).json["results"]
                except (OSError, http.client.HTTPException):
                    return
                with guard:
                    for validator, result in zip(validators, results):
                        if "signature" in result:
                            released[f"{validator} {slot} ATTESTATION"].add(result["signature"])

        for life in range(3):
            slots = range(life * 40, life * 40 + 40)
            askers = [threading.Thread(target=ask, args=(first, "0x01", slots)), threading.Thread(target=ask, args=(second, "0x02", slots))]
            for asker in askers:
                asker.start()
            # In the middle: when the first duties since its start are signed.
            while not any(duty.split()[1] in map(str, slots) for duty in self.rows()):
                pass
            first.kill()
            for asker in askers:
                asker.join()
            first.stop()
            first = self.serve("node-1")
            # A duty that the dead service had claimed and not signed is signed by the next request, with any data.
            ask(first, "0x03", slots)
        rows = self.rows()
        self.assertEqual(len(rows), 120 * VALIDATORS)
        for duty, signatures in released.items():
            self.assertEqual(signatures, {rows[duty][1]})

    def test_a_store_that_is_stopped_and_started_under_load_costs_time_only(self):
        service = self.serve("node-1", "--attempt-timeout-ms", "20000", "--signer-call-timeout-ms", "5000")
        validators = service.rpc("eth_accounts")["result"]
        answers = []

        def ask(number):
            requests = [sign_request(f"0x{number:02x}", slot=number, validator=validator) for validator in validators]
            answers.append(service.post("/api/v1/sign", {"duties": requests}, timeout=60).json["results"])

        askers = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
        for asker in askers[:10]:
            asker.start()
        e2e.postgres().stop("immediate")
        for asker in askers[10:]:
            asker.start()
        e2e.postgres().start()
        for asker in askers:
            asker.join()
        rows = self.rows()
        released = {result["signature"] for results in answers for result in results if "signature" in result}
        self.assertLessEqual(released, {signature for _, signature in rows.values()})
        kinds = collections.Counter(result["problem"]["type"].rsplit(":", 1)[1] for results in answers for result in results if "problem" in result)
        # All refusals are because the store was away.
        self.assertLessEqual(set(kinds), {"unavailable", "in_doubt", "duty_already_signed"}, kinds)
        self.assertEqual(service.sign("0xff", slot=1000).status, 200)

    def test_a_thousand_requests_at_once_are_a_few_statements(self):
        service = self.serve("node-1")
        validators = service.rpc("eth_accounts")["result"]
        connections = [service.connection() for _ in range(1000)]
        for number, connection in enumerate(connections):
            body = json.dumps(sign_request(slot=number // VALIDATORS, validator=validators[number % VALIDATORS]))
            connection.connect()
            connection.body = f"POST /api/v1/sign HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            # All but the last byte, so that each request needs one more byte.
            connection.sock.sendall(connection.body[:-1])
        before = {kind: service.figure("ha_signer_batch_size_count", kind=kind) for kind in ("claim_signed", "claim", "record")}
        for connection in connections:
            connection.sock.sendall(connection.body[-1:])
        for connection in connections:
            response = http.client.HTTPResponse(connection.sock)
            response.begin()
            self.assertEqual(response.status, 200, response.read())
            connection.close()
        for kind, count in before.items():
            # The keys are local, so one statement claims and records.
            expected = 1000 if kind == "claim_signed" else 0
            self.assertEqual(service.figure("ha_signer_batch_size_sum", kind=kind), expected)
            statements = service.figure("ha_signer_batch_size_count", kind=kind) - count
            self.assertLess(statements, 200, kind)
            print(f"{kind}: {statements:.0f} statements for 1,000 requests")


if __name__ == "__main__":
    e2e.main()
