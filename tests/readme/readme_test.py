#!/usr/bin/env python3
"""Runs the commands of README.md's section "Signing within a minute", and compares with what the section says of each; and follows the links
of all documents."""

import re
import unittest
from pathlib import Path

import e2e_support as e2e
from documents import Shell, commands

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


class ReadmeTests(unittest.TestCase):
    def test_commands_do_what_the_readme_says(self):
        (_, block), *_ = commands(README, "Signing within a minute")
        self.assertIn("ha-signer sign", block)
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        shell = Shell(folder.path, e2e.clean_environment(PATH=f"{Path(e2e.PROGRAM).parent}:/usr/bin:/bin"))
        self.addCleanup(shell.end)
        shell.run('ha-signer() { command ha-signer "$@"; echo $? >>exit_codes; }')
        out, _ = shell.run(block)
        self.assertEqual((folder.path / "exit_codes").read_text().split(), ["0", "4", "0"], shell.errors())
        self.assertRegex(out, re.compile("^0x[0-9a-f]{128}1[bc]$", re.MULTILINE))
        self.assertIn("aaaaaaaa", shell.errors(), "the refusal names the hash that was signed")
        self.assertIn("node shell", shell.errors(), "and who signed it")
        self.assertIn("ATTESTATION", out, "the duty is listed")

    def test_links_within_the_documents_lead_somewhere(self):
        documents = [path for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "bench/*.md") for path in ROOT.glob(pattern)]
        self.assertGreater(len(documents), 10)
        for document in documents:
            for path, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)#?([^)\s]*)\)", text_of(document)):
                target = document.parent / path if path else document
                self.assertTrue(target.exists(), f"{document}: {path}")
                if anchor:
                    self.assertIn(anchor, anchors_of(target), str(document))


def text_of(document):
    """Without what is code."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors_of(document):
    """As GitHub names headings."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    e2e.main()
