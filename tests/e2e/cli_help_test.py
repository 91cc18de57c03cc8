#!/usr/bin/env python3
"""Help, version, manual and completion: what the program says about itself, and that all of it says the same."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import e2e_support as e2e
from e2e_support import USAGE

TYPES = {"BLOCK_PROPOSAL", "CHECKPOINT_PROPOSAL", "ATTESTATION", "ATTESTATIONS_AND_SIGNERS", "GOVERNANCE_VOTE", "SLASHING_VOTE"}


def listed_commands(help_text):
    """The commands that a help text lists under its headings."""
    return re.findall(r"^  ([a-z][a-z-]*)  +\S", help_text, re.MULTILINE)


@functools.cache
def every_command():
    """The words of each command, subcommands included."""
    found = [[]]
    for words in found:
        found += [words + [name] for name in listed_commands(e2e.run(*words, "--help").stdout)]
    return found[1:]


class HelpTests(unittest.TestCase):
    def test_every_command_explains_itself(self):
        commands = every_command()
        for words in (["sign"], ["check"], ["migrate", "up"], ["migrate", "down"], ["migrate", "status"], ["migrate", "create"],
                      ["duties", "list"], ["duties", "show"], ["duties", "watch"], ["nodes"], ["nodes", "remove"], ["watermark", "show"], ["watermark", "set"],
                      ["prune"], ["export"], ["import"], ["config"], ["doctor"], ["keys", "list"], ["keys", "check"], ["keys", "import"], ["completion"], ["man"]):
            self.assertIn(words, commands)
        for words in commands:
            shown = e2e.run(*words, "--help")
            self.assertEqual((shown.returncode, shown.stderr), (0, ""), words)
            self.assertTrue(shown.stdout.startswith(f"ha-signer {' '.join(words)}: "), shown.stdout[:100])
            self.assertIn("Usage: ha-signer " + " ".join(words), shown.stdout)
            self.assertEqual(e2e.run("help", *words).stdout, shown.stdout)

    def test_help_fits_the_width_of_a_page(self):
        for words in [[], *every_command()]:
            for line in e2e.run(*words, "--help").stdout.splitlines():
                if not line.lstrip().startswith("$ "):  # an address cannot be broken
                    self.assertLessEqual(len(line), 110, line)

    def test_help_tells_exit_codes_environment_and_examples(self):
        text = e2e.run("sign", "--help").stdout
        self.assertIn("Exit codes:\n  0  success\n", text)
        self.assertIn("  7  the slot is below or above a watermark", text)
        self.assertIn("VALIDATOR_HA_NODE_ID: --node-id", text)
        self.assertIn("VALIDATOR_SIGNER_CALL_TIMEOUT_MS, VALIDATOR_SIGNING_OPERATION_TIMEOUT_MS: --signer-call-timeout-ms", text)
        self.assertIn("A password in a database URL is safer in the environment", text)
        self.assertIn("Examples:\n", text)

    def test_help_comes_whatever_the_settings_are(self):
        broken = e2e.clean_environment(VALIDATOR_HA_POOL_MAX="many", HA_SIGNER_CONFIG="/nowhere")
        for words in (["--help"], ["sign", "--help"], ["--version"], ["completion", "bash"], ["man"]):
            self.assertEqual(e2e.run(*words, env=broken).returncode, 0, words)

    def test_version_names_the_schema_versions(self):
        shown = e2e.run("--version")
        self.assertEqual(shown.returncode, 0)
        self.assertRegex(shown.stdout, r"^ha-signer \d+\.\d+\.\d+\n")
        self.assertIn("versions 1 to 3", shown.stdout)
        files = list((Path(__file__).resolve().parents[2] / "schema/sqlite").glob("*.sql"))
        self.assertIn(f"SQLite schema: version {len(files)}\n", shown.stdout)

    def test_examples_name_options_that_exist(self):
        for words in [[], *every_command()]:
            text = e2e.run(*words, "--help").stdout.replace("\\\n", " ")
            for command in re.findall(r"^  \$ .*?ha-signer (.*)$", text, re.MULTILINE):
                name = [word for word in re.split(r"\s+", command) if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
                name = name[:2] if name[:2] in every_command() else name[:1]
                options = e2e.run(*name, "--help").stdout
                for option in re.findall(r"(?<=\s)--[a-z0-9-]+", command):
                    self.assertIn(option, options, command)


class TypingErrorTests(unittest.TestCase):
    def refused(self, *arguments):
        answer = e2e.run(*arguments)
        self.assertEqual((answer.returncode, answer.stdout), (USAGE, ""), arguments)
        return answer.stderr

    def test_the_nearest_command_is_suggested(self):
        self.assertIn("'sgin' is not a command of ha-signer (did you mean sign?)", self.refused("sgin"))
        self.assertIn("'lst' is not a command of ha-signer duties (did you mean list?)", self.refused("duties", "lst"))
        self.assertIn("(did you mean migrate?)", self.refused("migrat", "up"))
        self.assertNotIn("did you mean", self.refused("launch"))

    def test_the_nearest_option_is_suggested(self):
        self.assertIn("--sloot is not an option of ha-signer sign (did you mean --slot?)", self.refused("sign", "--sloot", "5"))
        self.assertIn("--jsno is not an option of ha-signer config (did you mean --json?)", self.refused("config", "--jsno=true"))

    def test_an_option_of_another_command_is_refused(self):
        self.assertIn("--key-file is not an option of ha-signer check", self.refused("check", "--key-file", "x"))

    def test_a_missing_value_option_or_command_is_named(self):
        self.assertIn("--node-id needs a value: ID", self.refused("config", "--node-id"))
        self.assertIn("--duty-type is missing", self.refused("check", "--slot", "5", "--message-hash", e2e.HASH, "--address", e2e.ADDRESS))
        self.assertIn("ha-signer duties needs a command: list, show, watch", self.refused("duties"))
        self.assertIn("a command is missing", self.refused())

    def test_an_empty_value_is_named_and_takes_no_other_argument(self):
        duty = ["--rollup", e2e.ROLLUP, "--validator", e2e.ADDRESS, "--database-url", "sqlite:nowhere"]
        for arguments in (["--slot=", "--duty-type", "ATTESTATION", *duty], ["--slot=", "ATTESTATION"], ["--duty-type", "ATTESTATION", "--slot", "", *duty]):
            self.assertIn("--slot is '', but must", self.refused("duties", "show", *arguments))
        self.assertIn("--key-file is '', but must not be empty", self.refused("sign", "--key-file=", "--slot", "5", "--duty-type", "ATTESTATION",
                                                                              "--message-hash", e2e.HASH))
        self.assertIn("--rollup is '', but must be 0x and 40", self.refused("config", "--rollup=", "--node-id", "x"))
        self.assertIn("--slto is not an option of ha-signer duties show (did you mean --slot?)", self.refused("duties", "show", "--slto="))
        self.refused("nodes", "--json=")

    def test_what_is_said_twice_or_too_much_is_refused(self):
        self.assertIn("--slot is given 2 times", self.refused("duties", "show", "--slot", "1", "--slot", "2"))
        self.assertIn("'x' is not a command of ha-signer nodes", self.refused("nodes", "x"))
        self.assertIn("ha-signer export does not take 'x'", self.refused("export", "x"))

    def test_a_password_behind_a_typing_error_is_not_printed(self):
        for arguments in (["nodes", "postgresql://me:s3cret@db/ha"], ["nodes", "--databse-url=postgresql://me:s3cret@db/ha"],
                          ["nodes", "--databse-url", "postgresql://me:s3cret@db/ha"], ["postgresql://me:s3cret@db/ha"]):
            self.assertNotIn("s3cret", self.refused(*arguments))

    def test_a_terminal_gets_no_control_characters(self):
        self.assertNotIn("\x1b", self.refused("\x1b[2Jsign"))
        self.assertNotIn("\x1b", self.refused("sign", "--\x1b[2J"))


class ManualTests(unittest.TestCase):
    def test_the_manual_is_clean_roff(self):
        if not shutil.which("groff"):
            self.skipTest("groff is not there")
        text = e2e.run("man").stdout
        checked = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8"], input=text, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_the_manual_knows_every_command_setting_and_exit_code(self):
        text = e2e.run("man").stdout.replace("\\-", "-")
        for words in every_command():
            self.assertIn(".SS \\fBha-signer " + " ".join(words), text)
        for line in e2e.run("config").stdout.splitlines()[1:]:
            self.assertIn(line.split()[0], text)
        for code in range(8):
            self.assertIn(f".TP\n\\fB{code}\\fR\n", text)


class Completion:
    """What every shell offers, with the script that the program prints for it."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which(cls.shell):
            raise unittest.SkipTest(f"{cls.shell} is not installed")
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.script = cls.folder / "completion"
        cls.script.write_text(e2e.run("completion", cls.shell).stdout)
        (cls.folder / "a key").write_text("")
        (cls.folder / "keys").mkdir()

    def test_commands(self):
        self.assertEqual(self.complete(""), set(listed_commands(e2e.run("--help").stdout)))
        self.assertEqual(self.complete("dut"), {"duties"})
        self.assertEqual(self.complete("duties", ""), {"list", "show", "watch"})
        self.assertEqual(self.complete("migrate-ha-db", "u"), {"up"})

    def test_the_options_of_every_command(self):
        for words in every_command():
            options = set(re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", e2e.run(*words, "--help").stdout, re.MULTILINE))
            self.assertEqual(self.complete(*words, "--"), options, words)

    def test_values(self):
        self.assertEqual(self.complete("sign", "--duty-type", ""), TYPES)
        self.assertEqual(self.complete("watermark", "set", "--duty-type", ""), TYPES | {"all"})
        self.assertEqual(self.complete("duties", "list", "--status", "sign"), {"signing", "signed"})
        self.assertEqual(self.complete("completion", ""), {"bash", "zsh", "fish"})
        self.assertEqual(self.complete("sign", "--slot", ""), set())

    def test_files(self):
        self.assertEqual(self.complete("sign", "--key-file", ""), {"a key", "completion", "keys"})
        self.assertEqual(self.complete("import", "com"), {"completion"})
        self.assertEqual(self.complete("migrate", "create", "--dir", ""), {"keys"})


class BashTests(Completion, unittest.TestCase):
    shell = "bash"

    def complete(self, *words):
        quoted = " ".join("'" + word + "'" for word in ("ha-signer", *words))
        asked = f"""set -euo pipefail; source {self.script}; cd {self.folder}
                    COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _ha_signer; printf '%s\\n' "${{COMPREPLY[@]:-}}" """
        answer = subprocess.run(["bash", "--norc", "-c", asked], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
        self.assertEqual((answer.returncode, answer.stderr), (0, ""), words)
        return set(answer.stdout.split("\n")) - {""}

    def test_bash_can_read_it(self):
        answer = subprocess.run(["bash", "-n", self.script], capture_output=True, text=True)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        if shutil.which("shellcheck"):
            checked = subprocess.run(["shellcheck", "--shell=bash", self.script], capture_output=True, text=True)
            self.assertEqual(checked.returncode, 0, checked.stdout)


class FishTests(Completion, unittest.TestCase):
    shell = "fish"

    def complete(self, *words):
        line = " ".join(["ha-signer", *words])
        asked = f"""function ha-signer; end; source {self.script}; cd {self.folder}; complete -C "{line}" """
        answer = subprocess.run(["fish", "--no-config", "-c", asked], capture_output=True, text=True,
                                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "TERM": "dumb"})
        self.assertEqual((answer.returncode, answer.stderr), (0, ""), words)
        return {line.split("\t")[0].rstrip("/").replace("\\ ", " ") for line in answer.stdout.splitlines()}


class ZshTests(Completion, unittest.TestCase):
    shell = "zsh"

    def complete(self, *words):
        """In the place of zsh's own functions, which need a terminal, stand some that print what they are given."""
        quoted = " ".join("'" + word + "'" for word in ("ha-signer", *words))
        asked = f"""emulate -R zsh; setopt err_exit no_unset null_glob; compdef() {{ :; }}; cd {self.folder}
                    current={words[-1]!r}
                    compadd() {{ local word; for word in ${{(P)2}}; do if [[ $word == $current* ]]; then print -r -- $word; fi; done; }}
                    _files() {{ if [[ ${{1-}} == -/ ]]; then print -rl -- $current*(/); else print -rl -- $current*; fi; }}
                    source {self.script}; words=({quoted}); CURRENT=${{#words}}; _ha_signer"""
        answer = subprocess.run(["zsh", "-f", "-c", asked], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
        self.assertEqual((answer.returncode, answer.stderr), (0, ""), words)
        return set(answer.stdout.split("\n")) - {""}

    def test_zsh_can_load_it_from_its_path(self):
        folder = self.folder / "functions"
        folder.mkdir(exist_ok=True)
        (folder / "_ha-signer").write_text(self.script.read_text())
        self.addCleanup(shutil.rmtree, folder)
        asked = f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; print -r -- $_comps[ha-signer]"
        answer = subprocess.run(["zsh", "-f", "-c", asked], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": str(self.folder)})
        self.assertEqual((answer.stdout, answer.stderr), ("_ha-signer\n", ""))


if __name__ == "__main__":
    e2e.main()
