#!/usr/bin/env python3
"""docs/api.md: its commands do what it says, and its table of refusals is the service's."""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

import e2e_support as e2e

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "api.md").read_text()
BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def agrees(shown, real):
    """Whether an answer is what the page shows; an ellipsis there stands for anything."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and shown.keys() == real.keys() and all(agrees(shown[name], real[name]) for name in shown)
    if isinstance(shown, list):
        return isinstance(real, list) and len(shown) == len(real) and all(map(agrees, shown, real))
    if isinstance(shown, str) and shown.endswith("…"):
        return isinstance(real, str) and real.startswith(shown[:-1])
    return shown == real


class ApiDocument(unittest.TestCase):
    def test_its_commands_give_the_answers_that_it_shows(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        port = e2e.free_port()
        (folder.path / "bin").mkdir()
        (folder.path / "bin" / "ha-signer").symlink_to(e2e.PROGRAM)
        environment = e2e.clean_environment(PATH=f"{folder.path}/bin:{os.environ['PATH']}")
        answer, compared = None, 0
        for kind, text in BLOCK.findall(PAGE.replace("127.0.0.1:9000", f"127.0.0.1:{port}")):
            if kind == "json":
                self.assertTrue(agrees(json.loads(text), json.loads(answer)), f"{text}\nbut it is\n{answer}")
                compared += 1
            elif text.rstrip().endswith("&"):
                self.start(text.rstrip().removesuffix("&"), folder.path, environment)
            else:
                run = subprocess.run(["bash", "-euc", text], cwd=folder.path, env=environment, capture_output=True, text=True, timeout=60)
                self.assertEqual(run.returncode, 0, text + run.stderr)
                answer = run.stdout
        self.assertGreaterEqual(compared, 8)

    def start(self, command, folder, environment):
        service = subprocess.Popen(["bash", "-euc", "exec " + command], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        self.addCleanup(service.stderr.close)
        self.addCleanup(service.wait)
        self.addCleanup(service.terminate)
        for line in service.stderr:
            if '"listening"' in line:
                return
        self.fail("the service did not start")

    def test_its_refusals_are_those_of_the_service(self):
        source = (REPOSITORY / "hasigner" / "service" / "problem.cpp").read_text()
        kinds = {kind: (status, code) for kind, status, code in re.findall(r'ProblemKind\{"(\w+)", (\d+), (-\d+),', source)}
        self.assertGreater(len(kinds), 20)
        rows = [line for line in PAGE.splitlines() if re.match(r"\| `\w+`.*\| -?\d+", line)]
        described = {}
        for row in rows:
            names, statuses, codes = (re.findall(pattern, cell) for pattern, cell in zip((r"`(\w+)`", r"\d+", r"-\d+"), row.split("|")[1:4]))
            for i, name in enumerate(names):
                described[name] = (statuses[min(i, len(statuses) - 1)], codes[min(i, len(codes) - 1)] if codes else None)
        for name, (status, code) in described.items():
            self.assertEqual((status, code or kinds[name][1]), kinds[name], name)
        for name in kinds:
            self.assertIn(f"`{name}`" if name != "internal" else "", PAGE)

    def test_it_names_every_path(self):
        document = json.loads((REPOSITORY / "hasigner" / "service" / "openapi.json").read_text())
        for path in document["paths"]:
            self.assertIn(path.rsplit("/", 1)[1], PAGE)


if __name__ == "__main__":
    e2e.main()
