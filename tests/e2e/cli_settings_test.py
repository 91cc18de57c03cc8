#!/usr/bin/env python3
"""Settings: where values come from, which goes over which, and that secrets stay secret."""

import json
import os
import signal
import subprocess
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import FAILURE, USAGE

URL = "postgresql://me:s3cret@db.example/ha"


class SettingsTests(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)

    def config(self, *arguments, **variables):
        shown = e2e.run("config", "--json", *arguments, env=e2e.clean_environment(**variables))
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return {setting["name"]: setting for setting in json.loads(shown.stdout)["settings"]}

    def refused(self, *arguments, command=("config",), **variables):
        answer = e2e.run(*command, *arguments, env=e2e.clean_environment(**variables))
        self.assertEqual(answer.returncode, USAGE, answer.stdout + answer.stderr)
        return answer.stderr

    def test_flag_over_environment_over_file_over_default(self):
        file = self.folder.file("signer.toml", 'node_id = "file"\npool_min = 1\npool_max = 2\n')
        settings = self.config("--config", file, "--node-id", "flag", VALIDATOR_HA_NODE_ID="environment", VALIDATOR_HA_POOL_MIN="2")

        def said(name):
            return settings[name]["value"], settings[name]["from"], settings[name]["given_as"]

        self.assertEqual(said("VALIDATOR_HA_NODE_ID"), ("flag", "flag", "--node-id"))
        self.assertEqual(said("VALIDATOR_HA_POOL_MIN"), (2, "environment", "VALIDATOR_HA_POOL_MIN"))
        self.assertEqual(said("VALIDATOR_HA_POOL_MAX"), (2, "file", f"{file}:3: pool_max"))
        self.assertEqual(said("VALIDATOR_HA_POLLING_INTERVAL_MS"), (100, "default", None))
        self.assertEqual(said("VALIDATOR_HA_OLD_DUTIES_MAX_AGE_H"), (None, "unset", None))

    def test_a_file_is_used_only_if_it_is_named(self):
        self.folder.file("ha-signer.toml", "pool_max = 2\n")
        shown = subprocess.run([e2e.PROGRAM, "config", "--json"], cwd=self.folder.path, env=e2e.clean_environment(), capture_output=True, text=True)
        self.assertIsNone(json.loads(shown.stdout)["config_file"])
        file = str(self.folder.path / "ha-signer.toml")
        self.assertEqual(self.config(HA_SIGNER_CONFIG=file)["VALIDATOR_HA_POOL_MAX"]["value"], 2)

    def test_a_wrong_value_is_refused_under_the_name_that_the_user_used(self):
        self.assertEqual(self.refused("--pool-max", "0"), "ha-signer: --pool-max is '0', but must be a whole number from 1 to 1000\n")
        self.assertIn("VALIDATOR_HA_POOL_MAX is '-1'", self.refused(VALIDATOR_HA_POOL_MAX="-1"))
        file = self.folder.file("signer.toml", "\npool_max = true\n")
        self.assertIn(f"{file}:2: pool_max is 'true'", self.refused("--config", file))
        self.assertIn("--node-id is ''", self.refused("--node-id", ""))
        self.assertIn("--node-id is 'nnn", self.refused("--node-id", "n" * 256))
        self.assertIn("--node-id is 'a?b'", self.refused("--node-id", "a\tb"))
        self.assertIn("--rollup is '0x12'", self.refused("--rollup", "0x12"))
        self.assertIn("--ha-signing-enabled is 'perhaps'", self.refused("--ha-signing-enabled=perhaps"))

    def test_white_space_at_the_edges_is_left_out_and_told(self):
        answer = e2e.run("config", "--json", env=e2e.clean_environment(VALIDATOR_HA_DATABASE_URL=URL + "\n", VALIDATOR_HA_NODE_ID=" n1\r\n"))
        self.assertEqual(answer.returncode, 0, answer.stderr)
        settings = {setting["name"]: setting["value"] for setting in json.loads(answer.stdout)["settings"]}
        self.assertEqual((settings["VALIDATOR_HA_DATABASE_URL"], settings["VALIDATOR_HA_NODE_ID"]), (URL.replace("s3cret", "***"), "n1"))
        for name in ("VALIDATOR_HA_DATABASE_URL", "VALIDATOR_HA_NODE_ID"):
            self.assertIn(f"note: {name} has white space at its edges", answer.stderr)
        self.assertNotIn("s3cret", answer.stderr)
        self.assertIn("without the parameter schema, which libpq does not know", self.refused(VALIDATOR_HA_DATABASE_URL=URL + "?schema=x"))

    def test_an_unknown_key_is_refused_and_the_nearest_named(self):
        file = self.folder.file("signer.toml", 'databse_url = "sqlite:x"\n')
        self.assertIn(f"{file}:1: databse_url is not a setting (did you mean database_url?)", self.refused("--config", file))

    def test_default_timeouts_follow_a_short_stuck_age(self):
        shown = e2e.run("config", "--max-stuck-duties-age-ms", "40000")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, r"VALIDATOR_SIGNER_CALL_TIMEOUT_MS +20000 +derived: half of --max-stuck-duties-age-ms\n")
        self.assertRegex(shown.stdout, r"VALIDATOR_HA_ATTEMPT_TIMEOUT_MS +30000 +derived: three quarters of --max-stuck-duties-age-ms\n")
        self.assertIn("--signer-call-timeout-ms is '30000'", self.refused("--max-stuck-duties-age-ms", "40000", "--signer-call-timeout-ms", "30000"))

    def test_settings_that_contradict_each_other_are_refused(self):
        self.assertIn("--pool-min is '11', but must be at most VALIDATOR_HA_POOL_MAX, which is 10", self.refused("--pool-min", "11"))
        self.assertIn("--attempt-timeout-ms is '144000'", self.refused("--attempt-timeout-ms", "144000"))
        self.assertIn("are two names of one setting, but differ",
                      self.refused(VALIDATOR_SIGNER_CALL_TIMEOUT_MS="1000", VALIDATOR_SIGNING_OPERATION_TIMEOUT_MS="2000"))

    def test_a_contradiction_is_also_told_to_programs(self):
        shown = e2e.run("config", "--json", "--pool-min", "11")
        self.assertEqual(shown.returncode, USAGE)
        self.assertIn("--pool-min", json.loads(shown.stdout)["problem"])

    def test_an_unreadable_file_is_named(self):
        self.assertIn("cannot read /nowhere.toml: No such file or directory", self.refused("--config", "/nowhere.toml"))
        self.assertIn("Is a directory", self.refused("--config", "/"))
        self.assertIn("this is not TOML", self.refused("--config", self.folder.file("x.toml", "= = =\n")))
        self.assertIn("larger than", self.refused("--config", "/dev/zero"))

    def test_a_wrong_checksum_is_worth_a_note(self):
        # The example of EIP-55 with the case of one letter changed.
        shown = e2e.run("config", "--rollup", "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
        self.assertEqual(shown.returncode, 0)
        self.assertIn("note: --rollup is '0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed', whose letter case does not match", shown.stderr)

    def test_a_misspelt_variable_is_worth_a_note(self):
        shown = e2e.run("config", env=e2e.clean_environment(VALIDATOR_HA_POLING_INTERVAL_MS="5"))
        self.assertEqual(shown.returncode, 0)
        self.assertIn("note: the variable VALIDATOR_HA_POLING_INTERVAL_MS (did you mean VALIDATOR_HA_POLLING_INTERVAL_MS?) is not a setting", shown.stderr)

    def test_errors_are_objects_for_programs(self):
        answer = e2e.run("nodes", "--json", "--database-url", "sqlite:")
        self.assertEqual(answer.returncode, USAGE)
        answered = json.loads(answer.stdout)
        self.assertEqual((answered["error"]["kind"], answered["exit_code"]), ("usage", USAGE))
        self.assertIn("--database-url", answered["error"]["message"])
        usage = json.loads(e2e.run("nodes", "--json", "--wrong").stdout)
        self.assertIn("--wrong", usage["error"]["message"])


class SecretTests(unittest.TestCase):
    def test_a_password_is_masked_wherever_the_url_came_from(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        file = folder.file("signer.toml", f'database_url = "{URL}"\n')
        for shown in (e2e.run("config", "--database-url", URL), e2e.run("config", env=e2e.clean_environment(VALIDATOR_HA_DATABASE_URL=URL)),
                      e2e.run("config", "--json", "--config", file)):
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertNotIn("s3cret", shown.stdout + shown.stderr)
            self.assertIn("postgresql://me:***@db.example/ha", shown.stdout)

    def test_a_file_with_a_password_that_others_can_read_is_worth_a_note(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        for mode, said in ((0o644, True), (0o640, True), (0o600, False)):
            shown = e2e.run("config", "--config", folder.file(f"{mode}.toml", f'database_url = "{URL}"\n', mode))
            self.assertEqual("holds a password" in shown.stderr, said)
        self.assertEqual(e2e.run("config", "--config", folder.file("x.toml", 'database_url = "sqlite:x"\n', 0o644)).stderr, "")

    def test_a_wrong_url_is_refused_without_its_password(self):
        for url in ("postgresql://me:s3cret@db/ha?sslmode=never", "mysql://me:s3cret@db/ha", "postgresql://me:s3cret@%zz/ha"):
            answer = e2e.run("config", "--database-url", url)
            self.assertEqual(answer.returncode, USAGE, url)
            self.assertIn("--database-url is '", answer.stderr)
            self.assertNotIn("s3cret", answer.stdout + answer.stderr, url)

    def test_an_unreachable_server_is_named_without_its_password(self):
        answer = e2e.run("nodes", "--database-url", f"postgresql://me:s3cret@127.0.0.1:{e2e.free_port()}/ha")
        self.assertEqual(answer.returncode, e2e.UNAVAILABLE, answer.stderr)
        self.assertNotIn("s3cret", answer.stdout + answer.stderr)

    def waiting_process(self, *arguments):
        """A process that has read its arguments and waits for a file that does not come."""
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        pipe = folder.path / "pipe"
        os.mkfifo(pipe)
        process = subprocess.Popen([e2e.PROGRAM, "import", str(pipe), *arguments], stdin=subprocess.DEVNULL, env=e2e.clean_environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        writer = os.open(pipe, os.O_WRONLY)  # goes on when the process has opened the other end
        self.addCleanup(os.close, writer)
        return process

    def test_the_process_list_does_not_show_the_password(self):
        for arguments in (["--database-url", URL], [f"--database-url={URL}"]):
            process = self.waiting_process(*arguments)
            command_line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            self.assertIn(b"import", command_line)
            self.assertNotIn(b"s3cret", command_line)
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGTERM)

    def test_no_core_file_is_written(self):
        process = self.waiting_process("--database-url", URL)
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        process.send_signal(signal.SIGTERM)


class OutputTests(unittest.TestCase):
    def test_a_full_disk_is_not_success(self):
        with open("/dev/full", "w") as full:
            answer = subprocess.run([e2e.PROGRAM, "config"], stdout=full, stderr=subprocess.PIPE, text=True, env=e2e.clean_environment())
        self.assertEqual(answer.returncode, FAILURE)
        self.assertIn("cannot write to standard output", answer.stderr)


if __name__ == "__main__":
    e2e.main()
