"""What rows cost: tables of 10^3 rows and more, with and without planner statistics.

Each rival gets a filled database of every size before the rounds start, so that the sizes are interleaved too. Up to
COPIED_ROWS every measurement has a copy of its own; above, it runs in the filled database itself, whose size it changes
by a few per cent at most. Autovacuum is off, so that no one else makes statistics; each measurement first signs once
for every validator, so that the newest rows of each are in the caches, as on a node that is running.
"""

from driver.rivals import ROLLUP
from driver.rounds import say
from driver.table import OURS, PUBLISHED

COPIED_ROWS = 100_000
CHUNK_ROWS = 500_000
FILL_LIMIT_S = 600
DUTIES, QUICK_DUTIES = 500, 100

WITH_STATISTICS = ("VACUUM ANALYZE validator_duties",)

# As right after rows were loaded: never analysed, never vacuumed, so that the planner must guess.
WITHOUT_STATISTICS = (
    "DELETE FROM pg_statistic WHERE starelid = 'validator_duties'::regclass",
    "UPDATE pg_class SET relpages = 0, reltuples = -1, relallvisible = 0 WHERE oid = 'validator_duties'::regclass",
    "UPDATE pg_class SET relpages = 0, reltuples = 0 WHERE oid IN"
    " (SELECT indexrelid FROM pg_index WHERE indrelid = 'validator_duties'::regclass)",
)
STATISTICS = {"with": WITH_STATISTICS, "without": WITHOUT_STATISTICS}


def sizes(largest):
    found, size = [], 1000
    while size <= largest:
        found.append(size)
        size *= 10
    return tuple(found)


def _fill_statement(first, end, expires):
    """Signed attestations in slot order, 1,000 validators a slot, three nodes in turn, the newest an hour old."""
    return f"""
        INSERT INTO validator_duties
            (rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status,
             message_hash, signature, node_id, lock_token, started_at, completed_at{', expires_at' if expires else ''})
        SELECT '{ROLLUP}', '0x' || lpad(to_hex(n % 1000 + 1), 40, '0'), n / 1000 + 1, 1, -1, 'ATTESTATION', 'signed',
               '0x' || md5(n::text) || md5('hash' || n), '0x' || repeat(md5('signature' || n), 4) || '1b',
               'bench-' || (n % 3 + 1), md5('token' || n), at.started, at.started{', NULL' if expires else ''}
        FROM generate_series({first}, {end - 1}) AS n,
             LATERAL (SELECT localtimestamp - interval '11000 seconds' + n * interval '1 millisecond') AS at (started)
        ORDER BY n"""


class Large:
    def __init__(self, server, rounds, rivals, quick):
        self._server = server
        self._rounds = rounds
        self._rivals = {name: rivals[name] for name in (OURS, PUBLISHED) if name in rivals}
        self._duties = QUICK_DUTIES if quick else DUTIES

    def run(self, largest, count):
        self._server.sql("postgres", "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        for rival in self._rivals:
            self._fill(rival, sizes(largest))
        for number in range(1, count + 1):
            for size in sizes(largest):
                self._round(size, number, count)

    @staticmethod
    def _filled(rival, size):
        return f"filled_{rival}_{size}"

    def _fill(self, rival, wanted):
        """Every size is a copy of the size before it and the rows that it lacks."""
        template, rows = self._rounds.template(rival), 0
        for size in wanted:
            say(f"filling {rival} to {size:,} rows")
            database = self._filled(rival, size)
            self._server.create_database(database, template, "file_copy", FILL_LIMIT_S)
            self._add_rows(database, rows, size)
            template, rows = database, size

    def _add_rows(self, database, first, end):
        expires = self._server.sql(
            database, "SELECT 1 FROM pg_attribute WHERE attrelid = 'validator_duties'::regclass"
                      " AND attname = 'expires_at'")
        for start in range(first, end, CHUNK_ROWS):
            statement = _fill_statement(start, min(end, start + CHUNK_ROWS), bool(expires))
            self._server.sql(database, statement, limit_s=FILL_LIMIT_S)

    def _round(self, size, number, count):
        for statistic in STATISTICS:
            rivals = list(self._rivals)
            for rival in rivals if number % 2 else reversed(rivals):
                workload, where = f"large-{size}-{statistic}", f"round {number}/{count}"
                self._rounds.record(where, number, workload, rival, lambda: self._measure(rival, size, statistic))

    def _measure(self, rival, size, statistic):
        filled = self._filled(rival, size)
        if size > COPIED_ROWS:
            return self._measure_in(filled, rival, statistic)
        self._server.create_database("bench_large", filled)
        try:
            return self._measure_in("bench_large", rival, statistic)
        finally:
            self._server.drop_database("bench_large")

    def _measure_in(self, database, rival, statistic):
        self._server.sql(database, *STATISTICS[statistic], limit_s=FILL_LIMIT_S)
        self._rounds.quiet()
        arguments = {"duties": self._duties, "in-flight": 1000, "pool": 10}
        figures = self._rivals[rival].measure("large", self._server.url(database), **arguments)
        return {**figures, "in_flight_us": 1e6 / figures["duties_per_s"]}
