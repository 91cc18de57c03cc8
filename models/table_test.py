#!/usr/bin/env python3
"""The transitions of the model are those of docs/protocol.md: table_test.py

The page's table is that of the code: Transition.the_table_of_the_protocol_page_is_that_of_the_code compares those two.
"""

import pathlib
import re
import subprocess
import unittest

MODELS = pathlib.Path(__file__).resolve().parent
EVERYTHING = ["-DTABLE", "-DEVERY_EVENT", "-DCALLER", "-DONE_TRIP", "-DRELEASES=1"]

# Lines of the page that the model has not, and why: (state, event, next), "*" for any.
LEFT_OUT = [
    ("New", "Begun", "Signing first: sign"),               # the duty type needs no protection
    ("New", "Begun", "Releasing for caller: send release"),  # a caller's own record and release: environment.pml has them as statements
    ("New", "Begun", "Done: finish"),
    ("New", "Signature made", "*"),
    ("Releasing for caller", "*", "*"),
    ("Recording", "Record answered", "Releasing: send release"),  # the store cannot repeat a claim with its token
    ("Inspecting", "View answered", "Waiting: pause"),            # the store cannot take over
]


def table_of_page(text):
    lines = iter(text.splitlines())
    for line in lines:
        if line == "<!-- transitions -->":
            break
    rows = []
    for line in lines:
        if line.startswith("|"):
            rows.append(tuple(cell.strip() for cell in line.split("|")[1:4]))
        elif rows:
            break
    return set(rows[2:])  # without the head


def table_of_model(folder=MODELS):
    command = ["gcc", "-E", "-P", "-w", "-x", "c", *EVERYTHING, str(folder / "signer.pml")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    steps = re.findall(r"\bSTEP\((\w+), (\w+), (\w+), (\w+)\)", text)
    named = [[word.replace("_", " ") for word in step] for step in steps]
    return {(state, event, f"{after}: {action}") for state, event, after, action in named}


def is_left_out(row):
    return any(all(pattern in ("*", cell) for pattern, cell in zip(line, row)) for line in LEFT_OUT)


def differences(page, model):
    missing = [f"the model lacks: {row}" for row in sorted(page - model) if not is_left_out(row)]
    return missing + [f"the page lacks: {row}" for row in sorted(model - page)]


class Table(unittest.TestCase):
    def setUp(self):
        self.page = table_of_page((MODELS.parent / "docs/protocol.md").read_text())
        self.model = table_of_model()

    def test_the_transitions_of_the_model_are_those_of_the_protocol_page(self):
        self.assertGreater(len(self.page), 150)
        self.assertEqual(differences(self.page, self.model), [])

    def test_a_planted_difference_is_noticed(self):
        some = sorted(self.page & self.model)[len(self.page) // 2]
        for page, model in ((self.page, self.model - {some}), (self.page - {some}, self.model),
                            (self.page, self.model | {("Recording", "Time up", "Signing: sign")})):
            self.assertEqual(len(differences(page, model)), 1)

    def test_what_is_left_out_is_on_the_page_and_not_in_the_model(self):
        for line in LEFT_OUT:
            rows = [row for row in self.page if all(pattern in ("*", cell) for pattern, cell in zip(line, row))]
            self.assertTrue(rows, line)
            if "*" not in line:
                self.assertFalse(set(rows) & self.model, line)


if __name__ == "__main__":
    unittest.main()
