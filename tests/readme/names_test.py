#!/usr/bin/env python3
"""The names that docs/glossary.md, docs/protocol.md and docs/safety.md give are those of the code: names_test.py"""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = [path for folder in ("include", "hasigner", "bindings/node/native", "tests", "bench") for suffix in ("hpp", "cpp")
        for path in (ROOT / folder).rglob(f"*.{suffix}") if "node_modules" not in path.parts]


class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.texts = {path: re.sub(r"//.*", "", path.read_text()) for path in CODE}
        cls.files = [path.name for folder in ("hasigner", "schema") for path in (ROOT / folder).rglob("*.sql")]

    def has(self, name):
        """Whether the code has what a document calls by this name."""
        if name.endswith("/"):
            return (ROOT / name).is_dir()
        if name.endswith(".sql"):
            pattern = re.escape(name).replace("…", ".+")
            return any(re.fullmatch(pattern, file) for file in self.files)
        if name.startswith("--"):
            return any(f'"{name}"' in text for text in self.texts.values())
        if name.startswith("ha-signer "):
            return any(f'.name = "{name.split()[1]}"' in text for text in self.texts.values())
        *scope, last = name.removesuffix("()").split("::")
        call = r"\s*\(" if name.endswith("()") else r"\b"
        if scope:
            declares = re.compile(rf"\b(?:class|struct|enum class|namespace) (?:\w+::)*{scope[-1]}\b[^;]*?\{{.*?\b{last}{call}", re.DOTALL)
        else:
            declares = re.compile(rf"\b{last}{call}")
        return any(declares.search(text) for text in self.texts.values())

    def test_a_name_that_is_not_in_the_code_is_noticed(self):
        for name in ("NoSuchType", "no_such_function()", "Store::no_such_call()", "NoSuchType::claim()", "tests/nowhere/", "no_such.sql",
                     "--no-such-option", "ha-signer no-such-command"):
            self.assertFalse(self.has(name), name)

    def test_every_name_in_the_glossary_is_in_the_code(self):
        rows = [line.split("|")[1:-1] for line in (ROOT / "docs/glossary.md").read_text().splitlines() if line.startswith("| ")]
        names = [(term.strip(), name) for term, _, in_code in rows for name in re.findall("`([^`]+)`", in_code)]
        self.assertGreater(len(names), 60)
        missing = [f"{term}: {name}" for term, name in names if not self.has(name)]
        self.assertEqual(missing, [])

    def test_every_sql_file_that_a_document_names_is_there(self):
        for document in ("docs/protocol.md", "docs/safety.md", "CONTRIBUTING.md"):
            named = re.findall(r"`(?:[\w.-]+/)*([\w…]+(?:\.\w+)*\.sql)`", (ROOT / document).read_text())
            self.assertEqual([name for name in named if not self.has(name)], [], document)

    def test_each_statement_names_its_parameters(self):
        files = sorted((ROOT / "hasigner/store/postgres/sql").glob("*.sql"))
        self.assertGreater(len(files), 40)
        for file in files:
            lines = file.read_text().splitlines()
            said, used = (set(re.findall(r"\$\d+", "\n".join(line for line in lines if line.startswith("--") == is_comment)))
                          for is_comment in (True, False))
            self.assertEqual(used - said, set(), file.name)

    def test_every_test_that_a_document_names_is_there(self):
        tests = {f"{suite}.{name}" for text in self.texts.values()
                 for suite, name in re.findall(r"\b(?:TEST(?:_F|_P)?|RC_GTEST_(?:FIXTURE_)?PROP)\(\s*(\w+),\s*(\w+)", text)}
        for document in ("docs/protocol.md", "docs/safety.md"):
            named = re.findall(r"`([A-Z]\w+\.\w*\*?)`", (ROOT / document).read_text())
            self.assertGreater(len(named), 20)
            missing = [name for name in named if name not in tests and not (name.endswith("*") and any(
                test.startswith(name[:-1]) for test in tests))]
            self.assertEqual(missing, [], document)


if __name__ == "__main__":
    unittest.main()
