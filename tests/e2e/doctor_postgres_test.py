#!/usr/bin/env python3
"""`doctor` on deployments with PostgreSQL: each check fails for the right reason, and passes where all is well."""

import contextlib
import os
import pwd
import socket
import subprocess
import threading
import time
import unittest
from pathlib import Path

import e2e_support as e2e
from doctor_support import PASSWORD, DoctorCase
from e2e_support import UNAVAILABLE, USAGE

_servers = {}


def server(name="sound", options=""):
    """A server for all tests of this file. The sound one keeps what it confirms."""
    if name not in _servers:
        _servers[name] = e2e.PostgresServer(options)
        for role in ("owner", "signer"):
            _servers[name].sql(f"create role {role} login password '{PASSWORD}'")
    return _servers[name]


class Standby(e2e.PostgresServer):
    """A streaming standby, called site_b."""

    def __init__(self, primary):  # not the base's: its data is the primary's
        self.folder, self.port, self.user = e2e.Folder(), e2e.free_port(), primary.user
        self.programs, self.clients, self.options = primary.programs, primary.clients, primary.options
        if self.user:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder.path, account.pw_uid, account.pw_gid)
        data = self.folder.path / "data"
        primary.copy_data(data)
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"cluster_name = 'site_b'\nprimary_conninfo = 'host=127.0.0.1 port={primary.port} user=postgres'\n")
        self.start()


class SlowProxy:
    """Passes bytes on to a port, each way after a delay."""

    def __init__(self, port, delay_s):
        self.target, self.delay_s = port, delay_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self.listener.accept()[:1], daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as target:
            back = threading.Thread(target=self._pass, args=(target, client), daemon=True)
            back.start()
            self._pass(client, target)
            back.join()

    def _pass(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay_s)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()


class PgBouncer:
    def __init__(self, postgres, mode):
        self.folder, self.port = e2e.Folder(), e2e.free_port()
        self.folder.file("pgbouncer.ini", f"[databases]\n* = host=127.0.0.1 port={postgres.port} user=signer\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                         f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n", mode=0o644)
        program = next(path for path in ("/usr/sbin/pgbouncer", "/usr/bin/pgbouncer") if Path(path).exists())
        as_user = ["-u", "postgres"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([program, *as_user, str(self.folder.path / "pgbouncer.ini")], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        give_up_at = time.monotonic() + 20
        while time.monotonic() < give_up_at:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
        raise AssertionError("pgbouncer does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.remove()


class PostgresCase(DoctorCase):
    databases = 0
    on = {"name": "sound", "options": ""}

    def setUp(self):
        super().setUp()
        self.server = server(**self.on)
        type(self).databases += 1
        self.name = f"{type(self).__name__.lower()}{self.databases}"
        self.server.sql(f"create database {self.name} owner owner")
        self.variables |= {"VALIDATOR_HA_SIGNING_ENABLED": "true", "VALIDATOR_HA_DATABASE_URL": self.url()}

    def url(self, role="signer", port=None, query=""):
        return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{port or self.server.port}/{self.name}{query}"

    def sql(self, text):
        return self.server.sql(text, database=self.name)

    def migrate(self, *arguments, grant=True):
        granted = ["--grant", "signer"] if grant else []
        done = e2e.run("migrate", "up", *granted, *arguments, "--database-url", self.url("owner"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def as_role(self, setting):
        """A setting of the signer's role in this database."""
        self.sql(f"alter role signer in database {self.name} set {setting}")

    def session(self, **variables):
        """A session of another program, until the test ends."""
        process = subprocess.Popen([self.server.clients / "psql", "--no-psqlrc", "-d", self.server.url(self.name)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, env=e2e.clean_environment(**variables))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        return process

    def ask(self, session, text):
        session.stdin.write(text + ";\n\\echo answered\n")
        session.stdin.flush()
        while "answered" not in session.stdout.readline():
            pass

    def foreign_row(self, node="old-node"):
        """A node of the published package has signed just now."""
        self.sql("insert into validator_duties (rollup_address, validator_address, slot, block_number, duty_type, status, message_hash, node_id, lock_token) "
                 f"values ('{e2e.ROLLUP}', '{e2e.ADDRESS.lower()}', 5, 0, 'ATTESTATION', 'signed', '{e2e.HASH}', '{node}', '{'7' * 32}')")


class WellTests(PostgresCase):
    def test_a_sound_deployment_has_no_failure(self):
        self.migrate()
        findings = self.doctor()
        for check, found in {
                "settings": "^serve accepts the settings$", "slots": "refused", "servers": "^1 server of the URL answered$",
                "primary": "127.0.0.1, port .* is the primary$", "version": "^PostgreSQL 1", "encryption": "does not leave this machine",
                "pooler": "^no pooler", "search_path": "public", "tables": "one plain permanent table", "objects": "no triggers, rules",
                "schema": "^version 3 of the shared tables", "structure": "those that migrations make", "migrations": "every migration|list of migrations",
                "owner": "^the tables belong to owner, and signer only uses them$",
                "isolation": "read committed", "read_only": "may write", "fsync": "is on", "full_page_writes": "is on",
                "synchronous_commit": "is on", "session": "as serve opens it", "connections": "^1 x 11 connections at most",
                "latency": r"takes [0-9.]+ ms", "clock": "agree within [0-9]+ ms", "node_id": "^no other node has the id node-1$",
                "nodes": "^no other node runs now$", "failover_guard": "^the tables have what nodes need", "versions": "every connected ha-signer"}.items():
            self.assertIn(findings[check]["verdict"], ("ok", "skipped") if check == "migrations" else ("ok",), findings[check])
            self.assertRegex(findings[check]["found"], found)
        self.finds(findings, "standbys", "warning", "wait for no standby", "synchronous_standby_names = .*HA_SIGNER_STORAGE_REPLICATES=true")
        self.assertEqual(self.code, 0)
        for finding in findings.values():
            self.assertNotEqual(finding["verdict"], "failure", finding)

    def test_it_writes_nothing(self):
        self.migrate()
        self.sql("alter system set log_statement = 'mod'")
        self.addCleanup(self.sql, "select pg_reload_conf()")
        self.addCleanup(self.sql, "alter system reset log_statement")
        self.sql("select pg_reload_conf()")
        before = (self.server.folder.path / "log").read_text()
        self.sql("create table noticed ()")
        self.doctor()
        said = (self.server.folder.path / "log").read_text().removeprefix(before)
        self.assertIn("create table noticed", said, "the log shows what writes")
        self.assertNotRegex(said, r"(statement|execute [^:]*):\s*(insert|update|delete|truncate|lock|alter (?!system)|create (?!table noticed))")

    def test_the_text_says_the_same_and_ends_with_a_count(self):
        self.migrate()
        self.as_role("synchronous_commit = off")
        environment = e2e.clean_environment(**self.variables)
        done = e2e.run("doctor", env=environment)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn(PASSWORD, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^PostgreSQL, postgresql://signer:\*\*\*@")
        self.assertRegex(done.stdout, r"(?m)^  ok       fsync: fsync is on$")
        self.assertRegex(done.stdout, rf"(?m)^  warning  synchronous_commit: synchronous_commit is off; .*\n           mend: alter role signer in database {self.name} set synchronous_commit = on$")
        self.assertRegex(done.stdout, r"(?m)^[0-9]+ checks: [0-9]+ ok, [0-9]+ warnings, 0 failures, [0-9]+ skipped$")


class ServerTests(PostgresCase):
    def test_a_server_that_does_not_answer(self):
        self.migrate()
        nowhere = e2e.free_port()
        findings = self.doctor(VALIDATOR_HA_DATABASE_URL=self.url(port=nowhere))
        self.finds(findings, "servers", "failure", f"port {nowhere} failed: Connection refused", "listen_addresses, pg_hba.conf")
        self.finds(findings, "fsync", "skipped", "^no server answered$")
        self.assertEqual(self.code, UNAVAILABLE)

        two = self.url().replace(f":{self.server.port}/", f":{self.server.port},127.0.0.1:{nowhere}/")
        findings = self.doctor(VALIDATOR_HA_DATABASE_URL=two)
        self.finds(findings, "servers", "warning", f"port {nowhere} failed", "a failover needs it")
        self.is_well(findings, "fsync", "is on")

    def test_checks_that_were_skipped_for_one_reason_are_one_line(self):
        done = e2e.run("doctor", env=e2e.clean_environment(**self.variables | {"VALIDATOR_HA_DATABASE_URL": self.url(port=e2e.free_port())}))
        self.assertRegex(done.stdout, r"(?m)^  skipped  primary, version, .*, versions: because no server answered$")

    def test_a_connection_that_is_refused_for_good(self):
        self.migrate()
        self.addCleanup(self.server.sql, "alter role signer login connection limit -1")
        for statement, found, mend in (
                ("alter role signer nologin", "is not permitted to log in", "^run as a superuser: alter role signer login$"),
                (f"revoke connect on database {self.name} from public", "permission denied for database", f"^run as a superuser: grant connect on database {self.name} to signer$"),
                (f"alter database {self.name} allow_connections false", "not currently accepting connections", f"^run as a superuser in another database: alter database {self.name} allow_connections true$")):
            with self.subTest(statement):
                self.server.sql(statement)
                finding = self.doctor()["servers"]
                self.finds({"servers": finding}, "servers", "failure", found, mend)
                # Those that may connect to a database are changed now and then, as by a restore.
                self.assertEqual(self.code, UNAVAILABLE if "allow_connections" in statement else USAGE)
                # The statement does what it says.
                self.server.sql(finding["mend"].partition(": ")[2])
                self.is_well(self.doctor(), "servers", "answered")

    def test_a_role_and_a_database_that_are_not_there(self):
        self.migrate()
        self.finds(self.doctor(VALIDATOR_HA_DATABASE_URL=self.url("nobody")), "servers", "failure", 'role "nobody" does not exist', "create role nobody login")
        self.finds(self.doctor(VALIDATOR_HA_DATABASE_URL=self.url() + "x"), "servers", "failure", "does not exist", f"create database {self.name}x; ")
        self.assertEqual(self.code, USAGE)

    def test_a_server_that_is_something_else(self):
        self.migrate()
        self.sql("create schema fake; create function fake.version() returns text language sql as $$ select 'PostgreSQL 13.0.0 on x' $$; grant usage on schema fake to signer")
        self.as_role("search_path = fake, pg_catalog, public")
        for says, verdict, found in (("CockroachDB CCL v23.1", "failure", "is not PostgreSQL, but says CockroachDB"), ("Other 1.0", "warning", "calls itself Other 1.0")):
            self.sql(f"create or replace function fake.version() returns text language sql as $$ select '{says}' $$")
            self.finds(self.doctor(), "version", verdict, found, "PostgreSQL 14 to 18")

    def test_a_connection_that_leaves_the_machine_unencrypted(self):
        self.migrate()
        self.sql("create schema fake; create function fake.inet_client_addr() returns inet language sql as $$ select inet '10.0.0.7' $$; grant usage on schema fake to signer")
        self.as_role("search_path = fake, pg_catalog, public")
        self.finds(self.doctor(), "encryption", "warning", "is not encrypted", "sslmode=verify-full")

    def test_functions_in_the_place_of_PostgreSQLs_own(self):
        self.migrate()
        self.as_role("search_path = public, pg_catalog")
        self.finds(self.doctor(), "search_path", "failure", "take the place of PostgreSQL's own", "set search_path")

    def test_poolers(self):
        self.migrate()
        for mode, verdict, mend in (("transaction", "failure", "pool_mode = session"), ("session", "warning", "mode must stay session")):
            with self.subTest(mode):
                pooler = PgBouncer(self.server, mode)
                try:
                    findings = self.doctor(VALIDATOR_HA_DATABASE_URL=self.url(port=pooler.port))
                finally:
                    pooler.stop()
                self.finds(findings, "pooler", verdict, "stands between", mend)

    def test_a_clock_that_is_wrong(self):
        self.migrate()
        self.sql("create schema fake; grant usage on schema fake to signer")
        self.as_role("search_path = fake, pg_catalog, public")
        for off, verdict, found in (("7 seconds", "warning", "is [67][0-9]{3} ms ahead"), ("-10 minutes", "failure", "is (599|600)[0-9]{3} ms behind")):
            self.sql("create or replace function fake.clock_timestamp() returns timestamptz language sql as "
                     f"$$ select pg_catalog.clock_timestamp() + interval '{off}' $$")
            self.finds(self.doctor(), "clock", verdict, found, "chrony")

    def test_a_server_that_is_far_away(self):
        self.migrate()
        for delay_s, verdict, found in ((0.08, "warning", "two|lease"), (0.55, "failure", "a node's lease of 2000 ms would run out")):
            proxy = SlowProxy(self.server.port, delay_s)
            self.addCleanup(proxy.close)
            findings = self.doctor("--signing-timeout-ms", "500", VALIDATOR_HA_DATABASE_URL=self.url(port=proxy.port))
            self.finds(findings, "latency", verdict, "a round trip to the database takes [0-9.]+ ms", "nearer to the primary")
            if verdict == "failure":
                self.assertRegex(findings["latency"]["found"], found)
            else:
                self.assertIn("VALIDATOR_HA_SIGNING_TIMEOUT_MS = 500 ms", findings["latency"]["found"])

    def test_too_few_connections(self):
        self.migrate()
        self.finds(self.doctor("--pool-max", "200"), "connections", "failure", "may open 201 connections, but there are 9[0-9]", "VALIDATOR_HA_POOL_MAX, or raise max_connections")
        self.server.sql("alter role signer connection limit 20")
        self.addCleanup(self.server.sql, "alter role signer connection limit -1")
        self.finds(self.doctor("--pool-max", "20"), "connections", "failure", r"connection limit of the role signer", "alter role signer connection limit N")
        self.sql("insert into ha_signer_nodes (node_id, incarnation, registered_at, heartbeat_at, lease_until) "
                 f"values ('node-2', '{'a' * 16}', now(), now(), now() + interval '1 hour')")
        findings = self.doctor("--pool-max", "12")
        self.finds(findings, "connections", "warning", "the nodes together may open 2 x 13 connections", "to 36 or more")
        self.is_well(findings, "nodes", "^other nodes that run now: node-2$")


class StandbyTests(PostgresCase):
    on = {"name": "primary", "options": ""}

    @classmethod
    def setUpClass(cls):
        cls.standby = Standby(server(**cls.on))

    @classmethod
    def tearDownClass(cls):
        cls.standby.stop("immediate")

    def setUp(self):
        super().setUp()
        self.migrate()
        self.addCleanup(self.server.sql, "select pg_reload_conf()")
        self.addCleanup(self.server.sql, "alter system reset synchronous_standby_names")

    def wait_for(self, names, state):
        self.server.sql(f"alter system set synchronous_standby_names = '{names}'")
        self.server.sql("select pg_reload_conf()")
        give_up_at = time.monotonic() + 20
        while self.server.sql(f"select coalesce(string_agg(sync_state, ','), '') from pg_stat_replication where current_setting('synchronous_standby_names') = '{names}'") != state:
            self.assertLess(time.monotonic(), give_up_at)

    def test_standbys_that_commits_wait_for(self):
        self.sql("grant pg_read_all_stats to signer")
        self.wait_for("site_b", "sync")
        self.is_well(self.doctor(), "standbys", r"^commits wait for 1 standby server \(site_b\), and 1 can confirm now$")
        self.wait_for("site_c", "async")
        self.finds(self.doctor(), "standbys", "failure", "0 can confirm now", "bring a standby back")
        self.assertEqual(self.code, USAGE)
        # In the session, so that the revoke does not wait for the standby.
        self.server.sql("set synchronous_commit = local; revoke pg_read_all_stats from signer")
        self.finds(self.doctor(), "standbys", "skipped", "is not shown to the role signer", "^run as a superuser: grant pg_read_all_stats to signer$")
        self.is_well(self.doctor(HA_SIGNER_STORAGE_REPLICATES="true"), "standbys", "the storage below PostgreSQL replicates")

    def test_a_standby_in_the_place_of_the_primary(self):
        self.server.sql("select pg_switch_wal()")
        give_up_at = time.monotonic() + 20
        while time.monotonic() < give_up_at:
            findings = self.doctor(VALIDATOR_HA_DATABASE_URL=self.url(port=self.standby.port))
            if findings["servers"]["verdict"] == "ok" and findings["schema"]["verdict"] == "ok":
                break
        self.finds(findings, "primary", "failure", "is a standby in recovery", "name the primary in the URL")
        self.finds(findings, "session", "skipped", "the check primary failed")
        both = self.url().replace(f":{self.server.port}/", f":{self.standby.port},127.0.0.1:{self.server.port}/")
        self.is_well(self.doctor(VALIDATOR_HA_DATABASE_URL=both), "primary", f"port {self.server.port} is the primary; standbys: .*port {self.standby.port}$")

    def test_two_servers_that_take_writes(self):
        other = server("other", "")
        other.sql(f"create database {self.name} owner owner")
        both = self.url().replace(f":{self.server.port}/", f":{self.server.port},127.0.0.1:{other.port}/")
        self.finds(self.doctor(VALIDATOR_HA_DATABASE_URL=both), "primary", "failure", "several servers of the URL take writes", "make it a standby")
        twice = self.url().replace(f":{self.server.port}/", f":{self.server.port},localhost:{self.server.port}/")
        self.is_well(self.doctor(VALIDATOR_HA_DATABASE_URL=twice), "primary", "is the primary$")


class TableTests(PostgresCase):
    def test_no_tables(self):
        findings = self.doctor()
        self.finds(findings, "tables", "failure", "has no table validator_duties", "ha-signer migrate up")
        self.finds(findings, "schema", "skipped", "the check tables failed")
        self.finds(findings, "nodes", "skipped", "the tables are not all there", "migrate up")
        self.finds(findings, "rights", "skipped", "there are no tables")
        self.assertEqual(self.code, USAGE)

    def test_tables_that_would_lose_rows(self):
        self.migrate()
        self.sql("alter table validator_duties set unlogged")
        self.finds(self.doctor(), "tables", "failure", "not a plain permanent table", "migrate up")

    def test_tables_elsewhere_and_twice(self):
        self.migrate()
        self.sql("create schema duties; grant usage on schema duties to signer; create table duties.validator_duties (like public.validator_duties)")
        self.as_role("search_path = duties, public")
        self.finds(self.doctor(), "tables", "failure", "several tables are named validator_duties", "search_path")
        self.as_role("search_path = nowhere")
        self.finds(self.doctor(), "tables", "failure", "not on the search path", f"alter role signer in database {self.name} set search_path = SCHEMA$|search_path")

    def test_row_level_security(self):
        self.migrate()
        self.sql("alter table validator_duties enable row level security")
        findings = self.doctor()
        self.finds(findings, "tables", "failure", "row security on validator_duties hides rows", "BYPASSRLS")
        self.finds(findings, "objects", "failure", "row-level security on validator_duties", "alter table validator_duties disable row level security")

    def test_objects_of_others(self):
        self.migrate()
        self.sql("create function f() returns trigger language plpgsql as 'begin return new; end'")
        self.sql("create trigger audit after insert on validator_duties for each row execute function f()")
        self.finds(self.doctor(), "objects", "warning", "^trigger audit on validator_duties runs with every write", "drop trigger audit on validator_duties")
        self.sql("create trigger changes before insert on validator_duties for each row execute function f()")
        self.finds(self.doctor(), "objects", "failure", "trigger changes on validator_duties", "drop trigger changes on validator_duties")
        self.sql("drop trigger changes on validator_duties")
        self.sql("create rule keep as on delete to ha_signer_nodes do instead nothing")
        self.finds(self.doctor(), "objects", "failure", "rule keep on ha_signer_nodes", "drop rule keep on ha_signer_nodes")

    def test_constraints_of_others(self):
        self.migrate()
        self.sql("alter table validator_duties add constraint low check (slot < 10); create unique index one on validator_duties (validator_address)")
        findings = self.doctor()
        self.finds(findings, "objects", "warning", "constraint low on validator_duties, unique index one on validator_duties", "drop constraint low; drop index one")
        self.sql(findings["objects"]["mend"].removeprefix("run as the owner of the tables: "))
        self.is_well(self.doctor(), "objects", "policies or constraints but those")

    def test_triggers_that_do_not_fire(self):
        self.migrate()
        self.sql("create function f() returns trigger language plpgsql as 'begin return new; end'; create trigger odd before insert on validator_duties for each row execute function f()")
        self.finds(self.doctor(), "objects", "failure", "trigger odd", "drop trigger odd")
        self.sql("alter table validator_duties disable trigger odd")
        self.is_well(self.doctor(), "objects", "no triggers")

    def test_a_schema_that_lacks_something(self):
        self.migrate()
        self.sql("drop trigger ha_signer_raise_watermarks on validator_duties")
        self.finds(self.doctor(), "schema", "failure", "ha_signer_raise_watermarks", "ha-signer migrate up")
        self.sql("update schema_version set version = 9")
        self.finds(self.doctor(), "schema", "failure", "schema version 9", "newer ha-signer")

    def test_a_trigger_that_some_sessions_do_not_fire(self):
        self.migrate()
        self.sql("alter table validator_duties enable trigger ha_signer_raise_watermarks")
        self.finds(self.doctor(), "schema", "warning", "does not fire in every session: trigger ha_signer_raise_watermarks", "ha-signer migrate up")
        self.migrate()
        self.is_well(self.doctor(), "schema", "with what ha-signer adds")

    def test_what_is_not_as_migrations_make_it(self):
        for broken, verdict, found in (
                ("alter table ha_signer_watermarks set unlogged", "failure", "ha_signer_watermarks is unlogged, so a crash of the server empties it"),
                ("alter table validator_duties alter column message_hash type varchar(10)", "failure", r"validator_duties.message_hash is character varying\(10\)"),
                ("alter table validator_duties alter column slot type text", "failure", "validator_duties.slot is text and not bigint"),
                ("alter table validator_duties add column more int not null", "failure", "validator_duties.more must have a value"),
                ("alter table ha_signer_nodes drop constraint ha_signer_nodes_pkey", "failure", r"ha_signer_nodes has no primary key \(node_id\)"),
                ("alter table validator_duties drop constraint validator_duties_pkey, add constraint odd primary key "
                 "(rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint) deferrable", "failure", "validator_duties has no primary key"),
                ("drop index idx_validator_duties_node", "warning", "idx_validator_duties_node on validator_duties is missing, so statements become slower"),
                ("update pg_index set indisvalid = false where indexrelid = 'idx_validator_duties_status'::regclass", "warning", "idx_validator_duties_status .* is not valid")):
            with self.subTest(broken):
                self.setUp()
                self.migrate()
                self.is_well(self.doctor(), "structure", "those that migrations make")
                self.sql(broken)
                findings = self.doctor()
                self.finds(findings, "structure", verdict, found, "^run as the owner of the tables: ")
                # The statement does what it says.
                self.sql(findings["structure"]["mend"].removeprefix("run as the owner of the tables: "))
                self.is_well(self.doctor(), "structure", "those that migrations make")

    def test_what_has_no_statement_that_mends_it(self):
        self.migrate()
        self.sql("alter table ha_signer_watermarks rename to hidden; create view ha_signer_watermarks as select * from hidden; alter table ha_signer_nodes drop column lease_until")
        findings = self.doctor()
        self.finds(findings, "structure", "failure", "ha_signer_nodes.lease_until is missing, ha_signer_watermarks is a view", "^restore the tables")
        self.finds(findings, "nodes", "skipped", "lease_until does not exist, which the check structure tells")
        self.assertEqual(self.code, USAGE)

    def test_wider_columns_do_no_harm(self):
        self.migrate()
        self.sql("alter table validator_duties alter column node_id type text; alter table validator_duties alter column lock_token type varchar(100)")
        self.is_well(self.doctor(), "structure", "those that migrations make")

    def test_migrations(self):
        self.migrate("--to", "1")
        self.finds(self.doctor(), "migrations", "skipped", "may not read the list of migrations", "ha-signer migrate status")
        self.sql("grant select on pgmigrations to signer")
        self.is_well(self.doctor(), "migrations", "2_add-checkpoint-number, 3_add-duty-expiry is not applied; signing works without it")
        self.migrate()
        self.is_well(self.doctor(), "migrations", "^every migration")
        self.sql("drop function ha_signer_set_watermark")
        self.finds(self.doctor(), "migrations", "failure", "function ha_signer_set_watermark is missing", "ha-signer migrate up")

    def test_owners(self):
        self.migrate()
        self.finds(self.doctor(VALIDATOR_HA_DATABASE_URL=self.url("owner")), "owner", "warning", "the role owner owns the tables", "a role that owns nothing .* --grant ha_signer")
        self.finds(self.doctor(VALIDATOR_HA_DATABASE_URL=self.url("postgres")), "owner", "warning", "is a superuser", "--grant ha_signer")
        self.sql("alter table ha_signer_watermarks owner to postgres")
        self.finds(self.doctor(), "owner", "failure", "several owners", "owner to OWNER")

    def test_rights(self):
        # As on PostgreSQL 15 and newer: before, every role may create objects in the schema public.
        self.sql("revoke create on schema public from public; grant create on schema public to owner")
        self.migrate(grant=False)
        self.sql("grant select, insert on validator_duties to signer")
        findings = self.doctor()
        self.finds(findings, "rights", "failure", "lacks .*update, delete on table validator_duties",
                   "migrate up --grant signer, or as a superuser: .*grant update, delete on table validator_duties to signer")
        self.finds(findings, "session", "skipped", "rights failed")
        self.finds(findings, "tables", "skipped", "the role signer lacks a right .permission denied for table schema_version., which the check rights tells")
        # The statements do what they say.
        self.sql(findings["rights"]["mend"].split("as a superuser: ")[1])
        self.is_well(self.doctor(), "rights", "has the rights that a signer needs")
        self.sql("grant truncate on validator_duties to signer; grant update on ha_signer_watermarks to signer; grant create on schema public to public")
        findings = self.doctor()
        self.finds(findings, "rights", "warning", "update on table ha_signer_watermarks; truncate on table validator_duties", "^run as the owner: revoke create on schema public from public; ")
        self.sql(findings["rights"]["mend"].split("as the owner: ")[1])
        self.is_well(self.doctor(), "rights", "has the rights that a signer needs")
        self.server.sql("create role watchers; grant watchers to signer")
        self.addCleanup(self.server.sql, "revoke watchers from signer")
        self.sql("grant update on ha_signer_watermarks to watchers; grant update, delete on ha_signer_watermarks to public")
        findings = self.doctor()
        self.finds(findings, "rights", "warning", "update, delete on table ha_signer_watermarks", "delete on table ha_signer_watermarks from public; revoke update on table ha_signer_watermarks from public, watchers$")
        self.sql(findings["rights"]["mend"].split("as the owner: ")[1])
        self.is_well(self.doctor(), "rights", "has the rights that a signer needs")
        self.sql("revoke execute on function pg_catalog.pg_control_system() from public")
        self.finds(self.doctor(), "rights", "failure", r"execute on function pg_control_system\(\)", "grant execute on function")


class SettingTests(PostgresCase):
    def setUp(self):
        super().setUp()
        self.migrate()

    def test_settings_of_the_role(self):
        for check, setting, verdict, found, mend in (
                ("isolation", "default_transaction_isolation = 'serializable'", "warning", "is serializable", "'read committed'"),
                ("read_only", "default_transaction_read_only = on", "failure", "nothing can be signed", "default_transaction_read_only = off"),
                ("synchronous_commit", "synchronous_commit = local", "warning", "is local", "synchronous_commit = on")):
            for who in (f"role signer in database {self.name}", "role signer", f"database {self.name}"):
                with self.subTest(setting, who=who):
                    self.server.sql(f"alter {who} set {setting}")
                    self.addCleanup(self.server.sql, f"alter {who} reset all")
                    findings = self.doctor()
                    self.finds(findings, check, verdict, found, mend)
                    # The statement does what it says, also where it is set for every role.
                    self.sql(findings[check]["mend"])
                    self.assertEqual(self.doctor()[check]["verdict"], "ok")
                    for one in (f"role signer in database {self.name}", who):
                        self.server.sql(f"alter {one} reset all")

    def test_settings_of_the_URL(self):
        url = self.url(query="?options=-cdefault_transaction_isolation%3Dserializable")
        self.finds(self.doctor(VALIDATOR_HA_DATABASE_URL=url), "isolation", "warning", "is serializable",
                   "^take default_transaction_isolation out of options= in VALIDATOR_HA_DATABASE_URL$")

    def test_a_time_zone_matters_to_published_nodes_only(self):
        self.as_role("timezone = 'Europe/Berlin'")
        self.is_well(self.doctor(), "time_zone", "Europe/Berlin; this program writes UTC")
        self.foreign_row()
        findings = self.doctor()
        self.finds(findings, "time_zone", "warning", "Europe/Berlin, and nodes of the published package", "set timezone = 'UTC'")
        self.finds(findings, "nodes", "warning", r"\(old-node\), which do not obey watermarks", "docs/migrating.md")


class DurabilityTests(PostgresCase):
    on = {"name": "careless", "options": "-c fsync=off -c full_page_writes=off"}

    def test_a_server_that_forgets(self):
        self.migrate()
        findings = self.doctor()
        self.finds(findings, "fsync", "failure", "fsync is off", "alter system set fsync = on")
        self.finds(findings, "full_page_writes", "warning", "full_page_writes is off", "alter system set full_page_writes = on")


class NodeTests(PostgresCase):
    def setUp(self):
        super().setUp()
        self.migrate()

    def test_a_node_id_in_use(self):
        node = e2e.Node(self.url(), "node-1")
        self.addCleanup(node.stop)
        node.wait("ready")
        self.finds(self.doctor(), "node_id", "warning", "a process runs under the id node-1", "another VALIDATOR_HA_NODE_ID")
        node.stop()
        self.is_well(self.doctor(), "node_id", "^node-1 has been here, and does not run now$")
        self.foreign_row("node-1")
        self.finds(self.doctor(), "node_id", "failure", "a node of the published package signs under the id node-1", "another VALIDATOR_HA_NODE_ID")
        self.finds(self.doctor(VALIDATOR_HA_NODE_ID=None), "node_id", "skipped", "no node id", "set VALIDATOR_HA_NODE_ID")

    def node(self, name, *, keeps_journal="true", asked="null", completed="null", lives="true"):
        """What the database has of a node; whether it runs is told by its lease."""
        incarnation = "a" * 16
        self.sql("insert into ha_signer_nodes (node_id, incarnation, registered_at, heartbeat_at, lease_until, journal_incarnation, journal_asked, journal_completed) "
                 f"values ('{name}', '{incarnation}', now(), now(), now() + case when {lives} then 1 else -1 end * interval '1 hour', "
                 f"case when {keeps_journal} then '{incarnation}' end, {asked}, {completed})")

    def test_nodes_that_wait_for_each_other(self):
        self.is_well(self.doctor(), "failover_guard", "^the tables have what nodes need to wait for each other after a failover$")
        self.node("node-2", asked=3, completed=3)
        self.node("node-3", asked=1, completed=3)
        self.node("node-4", asked=2, completed=2, lives="false")  # Not waited for.
        self.is_well(self.doctor(), "failover_guard", "^no node waits for another; 2 nodes with a journal would after a failover$")
        self.sql("update ha_signer_nodes set journal_asked = 4, journal_completed = 4 where node_id = 'node-2'")
        self.finds(self.doctor(), "failover_guard", "failure", "asked for by node-2.; not done by: node-3$", "^look at /readyz and the log of node-3: mostly its journal cannot be written")
        self.assertEqual(self.code, USAGE)
        self.sql("update ha_signer_nodes set journal_completed = 4 where node_id = 'node-3'")
        self.is_well(self.doctor(), "failover_guard", "^no node waits for another; 2 nodes")
        self.node("node-5", keeps_journal="false")
        self.finds(self.doctor(), "failover_guard", "warning", "^nodes that run and keep no journal: node-5;", "HA_SIGNER_JOURNAL=true")

    def test_nodes_that_just_compare_their_journals(self):
        self.node("node-2", asked=3, completed=3)
        self.node("node-3", asked=1, completed=2)
        late = self.session(PGAPPNAME="late")
        self.ask(late, "begin; update ha_signer_nodes set journal_completed = 3 where node_id = 'node-3'")
        self.as_role("log_statement = 'all'")
        log = self.server.folder.path / "log"
        said_before = len(log.read_text())
        asked = []
        doctor = threading.Thread(target=lambda: asked.append(self.doctor()))
        doctor.start()
        while "journal_incarnation is not null" not in log.read_text()[said_before:]:
            self.assertTrue(doctor.is_alive(), asked)
        self.ask(late, "commit")
        doctor.join()
        self.is_well(asked[0], "failover_guard", "^no node waits for another; 2 nodes")

    def test_tables_without_what_nodes_need_to_wait_for_each_other(self):
        for statement, missing in (("alter table ha_signer_nodes " + ", ".join(f"drop column journal_{name}" for name in ("incarnation", "asked", "completed", "lost", "slots")),
                                    "column ha_signer_nodes.journal_incarnation, .*column ha_signer_nodes.journal_slots"),
                                   ("drop function ha_signer_forbid_up_to(text, text, text[], bigint)", "function ha_signer_forbid_up_to")):
            self.sql(statement)
            self.finds(self.doctor(), "failover_guard", "warning", f"would not wait until .*: {missing} is missing$", "ha-signer migrate up$")
            self.migrate()
            self.is_well(self.doctor(), "failover_guard", "have what nodes need")

    def test_other_versions(self):
        version = e2e.run("--version").stdout.splitlines()[0]
        same = self.session(PGAPPNAME=version)
        self.ask(same, "select 1")
        self.is_well(self.doctor(), "versions", f"every connected ha-signer is version {version.split()[1]}")
        older = self.session(PGAPPNAME="ha-signer 0.0.1")
        self.ask(older, "select 1")
        self.finds(self.doctor(), "versions", "warning", r"ha-signer 0\.0\.1 \(1 connection\)", "finish the upgrade")


class WholeTests(PostgresCase):
    def test_settings_that_serve_refuses(self):
        self.migrate()
        findings = self.doctor(ROLLUP_CONTRACT_ADDRESS=None)
        self.finds(findings, "settings", "failure", "--rollup is missing", "^give it, set ROLLUP_CONTRACT_ADDRESS")
        self.is_well(findings, "fsync", "is on")
        findings = self.doctor(VALIDATOR_HA_SIGNING_ENABLED=None)
        self.finds(findings, "settings", "failure", "VALIDATOR_HA_SIGNING_ENABLED is not", "^set it to true")
        self.is_well(findings, "tables", "one plain")
        self.finds(self.doctor(HA_SIGNER_GENESIS_TIME=None), "slots", "warning", "genesis time", "HA_SIGNER_GENESIS_TIME")

    def test_a_table_that_another_session_has_locked_is_not_waited_for(self):
        self.migrate()
        session = self.session()
        self.ask(session, "begin; lock table validator_duties, ha_signer_nodes in access exclusive mode")
        begun = time.monotonic()
        findings = self.doctor()
        self.assertLess(time.monotonic() - begun, 60)
        self.finds(findings, "nodes", "failure", "lock timeout", "server's log")


if __name__ == "__main__":
    e2e.main()
