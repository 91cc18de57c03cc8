#!/usr/bin/env python3
"""`migrate` as a person or a script uses it. What its tables look like is shown by tests/interop."""

import json
import os
import pty
import subprocess
import threading
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import FAILURE, UNAVAILABLE, USAGE

ALL = "1_initial-schema, 2_add-checkpoint-number, 3_add-duty-expiry"
OURS = "Made the ha_signer tables: cluster id, node registry, watermarks\n"
UP_TO_DATE = "No migrations to apply - schema is up to date\n"


class MigrateTests(unittest.TestCase):
    databases = 0

    def setUp(self):
        type(self).databases += 1
        self.name = f"migrate{self.databases}"
        e2e.postgres().sql(f"create database {self.name}")
        self.url = e2e.postgres().url(self.name, password="s3cret")

    def migrate(self, *arguments, code=0, program="migrate"):
        done = e2e.run(program, *arguments, "--database-url", self.url)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("s3cret", done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def sql(self, text):
        return e2e.postgres().sql(text, database=self.name)

    def status(self):
        return json.loads(self.migrate("status", "--json"))

    def foreign_row(self):
        """A node of the published package has signed just now."""
        self.sql("insert into validator_duties (rollup_address, validator_address, slot, block_number, duty_type, status, message_hash, node_id, lock_token) "
                 f"values ('{e2e.ROLLUP}', '{e2e.ADDRESS.lower()}', 5, 0, 'ATTESTATION', 'signed', '{e2e.HASH}', 'old-node', '{'7' * 32}')")

    def test_prints_the_published_lines(self):
        self.assertEqual(self.migrate("up"), f"Applied migrations: {ALL}\n{OURS}")
        self.assertEqual(self.migrate("up"), UP_TO_DATE)
        for name in ("3_add-duty-expiry", "2_add-checkpoint-number", "1_initial-schema"):
            self.assertEqual(self.migrate("down"), f"Rolled back migrations: {name}\n")
        self.assertEqual(self.migrate("down"), "No migrations to rollback\n")

    def test_migrate_ha_db_is_the_same_command(self):
        self.assertEqual(self.migrate("up", program="migrate-ha-db"), f"Applied migrations: {ALL}\n{OURS}")
        self.assertEqual(self.migrate("status", program="migrate-ha-db"), self.migrate("status"))

    def test_goes_no_further_than_told(self):
        self.assertEqual(self.migrate("up", "--to", "1"), f"Applied migrations: 1_initial-schema\n{OURS}")
        self.assertEqual(self.migrate("up", "--to", "1", "--yes"), UP_TO_DATE)
        self.assertEqual(self.status()["pending"], ["2_add-checkpoint-number", "3_add-duty-expiry"])
        for version in ("0", "4", "-1", "one"):
            self.assertIn(f"--to is '{version}', but must be a version from 1 to 3", self.migrate("up", "--to", version, code=USAGE))

    def test_status_says_what_is_there_and_what_is_next(self):
        empty = self.migrate("status")
        self.assertRegex(empty, r"Shared tables +no tables\n")
        self.assertIn("Next: ha-signer migrate up\n", empty)
        self.migrate("up")
        status = self.status()
        self.assertEqual((status["version"], status["pending"], status["own_missing"]), (3, [], []))
        self.assertEqual(", ".join(status["applied"]), ALL)
        self.assertIn("***", status["database"])
        self.assertNotIn("Next:", self.migrate("status"))
        self.sql("drop trigger ha_signer_raise_watermarks on validator_duties")
        self.assertEqual(self.status()["own_missing"], ["trigger ha_signer_raise_watermarks"])
        self.assertEqual(self.migrate("up"), UP_TO_DATE + OURS)

    def test_grants_what_a_signer_needs_to_the_roles_that_are_named(self):
        for role in ("published", "signer"):
            self.sql(f"create role {self.name}_{role} login")
        self.migrate("up")
        self.sql(f"grant insert on validator_duties to {self.name}_published")
        said = self.migrate("up", "--grant", f"{self.name}_signer")
        self.assertEqual(said, UP_TO_DATE + f"Granted what a signer needs to {self.name}_signer\n")
        self.assertEqual(self.status()["signer_roles"], [f"{self.name}_signer"])
        self.assertIn(f'role "{self.name}_x" does not exist', self.migrate("up", "--grant", f"{self.name}_x", code=FAILURE))
        url = self.url.replace("postgres:s3cret@", f"{self.name}_signer@")
        done = e2e.run("check", "--database-url", url, "--address", e2e.ADDRESS, "--rollup", e2e.ROLLUP, "--slot", "5", "--duty-type", "ATTESTATION",
                       "--message-hash", e2e.HASH, "--node-id", "node-1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_nodes_that_would_refuse_the_newer_version_are_asked_about(self):
        self.migrate("up", "--to", "1")
        self.foreign_row()
        said = self.migrate("up", code=USAGE)
        for word in ("old-node", "--to 1", "--yes"):
            self.assertIn(word, said)
        self.assertEqual(self.status()["version"], 1)
        self.assertEqual(self.migrate("up", "--to", "2"), "Applied migrations: 2_add-checkpoint-number\n")
        self.assertEqual(self.migrate("up", "--yes"), "Applied migrations: 3_add-duty-expiry\n")

    def answer(self, text, *arguments):
        """Runs migrate at a terminal where a person answers."""
        controller, terminal = pty.openpty()
        process = subprocess.Popen([e2e.PROGRAM, "migrate", *arguments, "--database-url", self.url], stdin=terminal, stdout=subprocess.PIPE,
                                   stderr=terminal, text=True, env=e2e.clean_environment())
        os.close(terminal)
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(controller, 4096)
        os.write(controller, text.encode())
        output = process.communicate(timeout=60)[0]
        os.close(controller)
        return process.returncode, output

    def test_a_person_at_a_terminal_decides(self):
        self.migrate("up", "--to", "1")
        self.foreign_row()
        self.assertEqual(self.answer("n\n", "up"), (FAILURE, ""))
        self.assertEqual(self.status()["version"], 1)
        self.assertEqual(self.answer("y\n", "up"), (0, "Applied migrations: 2_add-checkpoint-number, 3_add-duty-expiry\n"))
        self.migrate("down")
        self.migrate("down")
        self.assertEqual(self.answer("n\n", "down"), (FAILURE, ""))
        self.assertEqual(self.status()["version"], 1)
        self.assertEqual(self.answer("y\n", "down"), (0, "Rolled back migrations: 1_initial-schema\n"))

    def test_many_at_once_make_one_schema(self):
        outputs = []
        threads = [threading.Thread(target=lambda: outputs.append(self.migrate("up"))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(outputs), sorted([f"Applied migrations: {ALL}\n{OURS}"] + [UP_TO_DATE] * 5))

    def test_the_url_comes_from_flag_then_DATABASE_URL_then_the_signers_variable_then_the_file(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        paths = {source: f"sqlite:{folder.path}/{source}.db" for source in ("flag", "tool", "signer", "file")}
        file = folder.file("signer.toml", f'database_url = "{paths["file"]}"\n')
        variables = {"HA_SIGNER_CONFIG": file, "VALIDATOR_HA_DATABASE_URL": paths["signer"], "DATABASE_URL": paths["tool"]}
        for source in ("flag", "tool", "signer", "file"):
            arguments = ["--database-url", paths["flag"]] if source == "flag" else []
            done = e2e.run("migrate", "up", "--verbose", *arguments, env=e2e.clean_environment(**variables))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"database: {paths[source]} (", done.stderr)
            self.assertTrue(Path(paths[source].removeprefix("sqlite:")).exists())
            if source != "flag":
                variables.popitem()
        missing = e2e.run("migrate", "up")
        self.assertEqual(missing.returncode, USAGE)
        self.assertIn("--database-url is missing", missing.stderr)

    def test_only_migrations_look_at_DATABASE_URL(self):
        answer = e2e.run("nodes", env=e2e.clean_environment(DATABASE_URL=self.url))
        self.assertEqual(answer.returncode, USAGE)
        self.assertIn("--database-url is missing", answer.stderr)

    def test_a_signer_without_tables_names_the_command(self):
        answer = e2e.run("duties", "list", "--database-url", self.url)
        self.assertEqual(answer.returncode, USAGE)
        self.assertIn("ha-signer migrate up", answer.stderr)

    def test_a_database_of_something_else_is_refused(self):
        self.sql("create table validator_duties (recipe text)")
        self.assertIn("validator_duties", self.migrate("up", code=USAGE))
        self.assertEqual(self.sql("select count(*) from pg_class where relname like 'ha\\_signer%'"), "0")

    def test_the_real_cause_is_told(self):
        for url, said, code in ((e2e.postgres().url("nowhere"), "nowhere", UNAVAILABLE),
                                (f"postgresql://postgres@127.0.0.1:{e2e.free_port()}/x", "refused", UNAVAILABLE),
                                ("postgresql://postgres@host.invalid/x", "host.invalid", UNAVAILABLE)):
            done = e2e.run("migrate", "up", "--database-url", url)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(said, done.stderr)


class SqliteTests(unittest.TestCase):
    def test_up_makes_the_file_and_status_reads_it(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        url = f"sqlite:{folder.path}/signer.db"

        def migrate(*arguments):
            return e2e.run("migrate", *arguments, "--database-url", url)

        self.assertTrue(migrate("up").stdout.startswith("Applied migrations: "))
        self.assertEqual(migrate("up").stdout, UP_TO_DATE)
        self.assertEqual(json.loads(migrate("status", "--json").stdout)["pending"], [])
        self.assertEqual(migrate("down").returncode, USAGE)
        self.assertEqual(migrate("up", "--to", "1").returncode, USAGE)


class CreateTests(unittest.TestCase):
    def test_writes_the_next_pair(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        for number, name in ((1, "first"), (2, "add-more")):
            done = e2e.run("migrate", "create", name, "--dir", str(folder.path))
            self.assertEqual(done.returncode, 0, done.stderr)
            for way in ("up", "down"):
                self.assertIn(f"set version = {number if way == 'up' else number - 1}", (folder.path / f"000{number}_{name}.{way}.sql").read_text())

    def test_refuses_a_wrong_name_or_folder(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        for name in ("../evil", "Upper", "", "a b", "x" * 61):
            done = e2e.run("migrate", "create", name, "--dir", str(folder.path))
            self.assertEqual(done.returncode, USAGE, name)
            self.assertIn("NAME is '", done.stderr)
        self.assertEqual(os.listdir(folder.path), [])
        self.assertIn("--dir is '/nowhere'", e2e.run("migrate", "create", "x", "--dir", "/nowhere").stderr)


if __name__ == "__main__":
    e2e.main()
