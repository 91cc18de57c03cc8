#!/usr/bin/env python3
"""A client that may operate one validator changes its watermarks at full speed: the lock of the table, behind which claims wait, is not always taken."""

import http.client
import itertools
import json
import time

import attack_support
import e2e_support as e2e
from attack_support import AttackCase, AttackThreads, attack_rounds

OTHER = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"
SENDERS = 64


class Operators(AttackThreads):
    def __init__(self, service, token):
        super().__init__(range(SENDERS))
        self.service, self.token = service, token
        self.slots = itertools.count(1)
        self.statuses = set()

    def attack(self, _):
        connection = self.service.connection()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        while not self.over.is_set():
            try:
                connection.request("POST", "/api/v1/watermarks", json.dumps({"validator": OTHER, "dutyType": "all", "low": next(self.slots)}), headers)
                response = connection.getresponse()
                response.read()
                self.statuses.add(response.status)
            except (OSError, http.client.HTTPException):
                connection.close()
        connection.close()


class OperatorTests(AttackCase):
    def attacked(self, database=None):
        honest, honest_token = self.client("honest", "sign")
        greedy, greedy_token = self.client("greedy", "operate", f"validators={OTHER}")
        person, person_token = self.client("person", "operate")
        service = self.serve(clients=honest + greedy + person, database=database)
        with self.honest_beside(service, token=honest_token):
            with Operators(service, greedy_token) as operators:
                for _ in attack_rounds():
                    time.sleep(0.1)
                began = time.monotonic()
                answer = service.post("/api/v1/watermarks", {"validator": e2e.ADDRESS, "dutyType": "ATTESTATION", "low": 1}, token=person_token)
                self.assertEqual(answer.status, 200, answer.text)
                print(f"another operator waited {time.monotonic() - began:.2f} s")
        self.assertIn(200, operators.statuses)
        self.assertLessEqual(operators.statuses, {200, 429})

    def test_on_sqlite(self):
        self.attacked()

    def test_on_postgres(self):
        self.attacked(e2e.postgres().new_database())


if __name__ == "__main__":
    attack_support.main()
