#!/usr/bin/env python3
"""People and programs that read at full speed over a large table: signing goes on, and the service stays ready."""

import http.client
import sqlite3
import threading
import time

import attack_support
import e2e_support as e2e
from attack_support import RANDOM, AttackCase, AttackThreads, attack_rounds
from service_support import Service

ROWS = 220_000
VALIDATORS = 40
READERS = 24
# The dear ones: many rows, and filters for which much is looked at and little found.
QUERIES = ("/api/v1/duties?limit=1000", "/api/v1/duties?limit=1000&status=signing", "/api/v1/duties?nodeId=nobody", "/api/v1/duties?limit=1000&nodeId=filler",
           "/api/v1/duties?limit=1000&dutyType=GOVERNANCE_VOTE", "/api/v1/nodes", "/api/v1/watermarks")


def validator(number):
    return "0x" + format(number + 0x1000, "040x")


class Readers(AttackThreads):
    """Ask without a pause, each over a connection of its own, and count the answers."""

    def __init__(self, service, token):
        super().__init__([RANDOM.randrange(2**32) for _ in range(READERS)])
        self.service, self.token = service, token
        self.statuses = {}
        self.lock = threading.Lock()

    def attack(self, number):
        connection = None
        while not self.over.is_set():
            number += 1
            try:
                connection = connection or self.service.connection()
                connection.request("GET", QUERIES[number % len(QUERIES)], headers={"Authorization": "Bearer " + self.token})
                response = connection.getresponse()
                response.read()
                status = response.status
            except (OSError, http.client.HTTPException):
                connection, status = None, 0
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
        if connection:
            connection.close()


class ReadersTests(AttackCase):
    def attacked(self, service, honest, readers):
        unready = []
        with self.honest_beside(service, token=honest), Readers(service, readers) as attackers:
            for _ in attack_rounds():
                began = time.monotonic()
                ready = service.get("/readyz")
                if ready.status != 200:
                    unready.append(ready.text)
                time.sleep(max(0, 0.1 - (time.monotonic() - began)))
        print("readers got", dict(sorted(attackers.statuses.items())), flush=True)
        self.assertEqual(unready, [])
        self.assertGreater(attackers.statuses.get(200, 0), 0, "reading works")
        self.assertLessEqual(attackers.statuses.keys(), {200, 429, 503})
        # Afterwards a reader is served as ever.
        self.assertEqual(service.get("/api/v1/duties?limit=1000", token=readers).status, 200)

    def clients(self):
        honest, honest_token = self.client("honest", "sign")
        readers, readers_token = self.client("readers", "read")
        return honest + readers, honest_token, readers_token

    def test_on_sqlite(self):
        lines, honest, readers = self.clients()
        service = self.serve(clients=lines)
        service.stop()
        file = service.folder / "data" / "signing-protection.db"
        with sqlite3.connect(file) as database:
            database.executemany(
                "insert into validator_duties (rollup_address, validator_address, slot, block_number, checkpoint_number, block_index_within_checkpoint,"
                " duty_type, status, message_hash, signature, node_id, lock_token, started_at, completed_at)"
                " values (?, ?, ?, 0, 0, -1, 'ATTESTATION', 'signed', ?, ?, 'filler', ?, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000')",
                ((e2e.ROLLUP, validator(row % VALIDATORS), row // VALIDATORS, "0x" + format(row, "064x"), "0x" + format(row, "0128x") + "1b",
                  format(row, "032x")) for row in range(ROWS)))
        service = Service(self.folder.path, clients=lines)
        self.addCleanup(service.stop)
        self.attacked(service, honest, readers)
        self.assertLess(sum(path.stat().st_size for path in file.parent.glob("*-wal")), 200 * 1024 * 1024, "the log is still copied")

    def test_on_postgres(self):
        lines, honest, readers = self.clients()
        database = e2e.postgres().new_database()
        e2e.postgres().sql(
            "insert into validator_duties (rollup_address, validator_address, slot, block_number, checkpoint_number, block_index_within_checkpoint,"
            " duty_type, status, message_hash, signature, node_id, lock_token, started_at, completed_at)"
            f" select '{e2e.ROLLUP}', '0x' || lpad(to_hex(4096 + n % {VALIDATORS}), 40, '0'), n / {VALIDATORS}, 0, 0, -1, 'ATTESTATION', 'signed',"
            " '0x' || lpad(to_hex(n), 64, '0'), '0x' || lpad(to_hex(n), 128, '0') || '1b', 'filler', lpad(to_hex(n), 32, '0'), now(), now()"
            f" from generate_series(0, {ROWS - 1}) n; analyze validator_duties", database.rsplit("/", 1)[1].split("?")[0])
        service = self.serve(database=database, clients=lines)
        self.attacked(service, honest, readers)


if __name__ == "__main__":
    attack_support.main()
