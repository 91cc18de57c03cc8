#!/usr/bin/env python3
"""Refused duties by the ten thousand fill neither the disk of the audit log nor the places of others' lines."""

import http.client
import json
import time

import attack_support
import e2e_support as e2e
from attack_support import AttackCase, AttackThreads, attack_rounds

MIB = 1024 * 1024
ELSEWHERE = "0x" + "99" * 20


class Refused(AttackThreads):
    def __init__(self, service, token):
        super().__init__(range(6))
        self.service, self.token, self.answered = service, token, 0
        self.body = json.dumps({"duties": [{"validator": ELSEWHERE, "message": "0x", "context": {"dutyType": "ATTESTATION", "slot": 5}}] * 10_000},
                               separators=(",", ":"))

    def attack(self, _):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        while not self.over.is_set():
            connection = self.service.connection()
            try:
                connection.request("POST", "/api/v1/sign", self.body, headers)
                response = connection.getresponse()
                response.read()
                self.answered += response.status == 200
            except (OSError, http.client.HTTPException):
                pass
            connection.close()


class AuditTests(AttackCase):
    def test_refusals_push_out_no_lines_of_others(self):
        honest, honest_token = self.client("honest", "sign")
        greedy, greedy_token = self.client("greedy", "sign", f"validators={ELSEWHERE}")
        reader, reader_token = self.client("reader", "read")
        audit = self.folder.path / "audit.jsonl"
        service = self.serve("--audit-log", str(audit), clients=honest + greedy + reader)
        with self.honest_beside(service, token=honest_token) as clients:
            with Refused(service, greedy_token) as refused:
                for _ in attack_rounds(attack_support.SECONDS + 2):
                    time.sleep(0.1)
        self.assertGreater(refused.answered, 2)
        self.assertEqual(service.get("/readyz", token=reader_token).json["audit"]["linesLost"], 0)
        signed = sum(answer[2] == 200 for answer in clients[0].answers())
        self.assertEqual(service.stop(), 0)
        lines = [json.loads(line) for line in audit.read_text().splitlines()]
        self.assertEqual(sum(line.get("client") == "honest" and line["outcome"] == "signed" for line in lines), signed)
        more = sum(int(line["count"]) for line in lines if line["event"] == "more_refused" and line["client"] == "greedy")
        written = sum(line["event"] == "sign" and line["client"] == "greedy" for line in lines)
        self.assertGreaterEqual(more + written, 10_000 * refused.answered)
        print(f"{written} refusals have a line, {more} are counted; {audit.stat().st_size / MIB:.1f} MiB")
        self.assertLess(audit.stat().st_size, 20 * MIB)
        verified = e2e.run("audit", "verify", str(audit))
        self.assertEqual(verified.returncode, 0, verified.stderr)


if __name__ == "__main__":
    attack_support.main()
