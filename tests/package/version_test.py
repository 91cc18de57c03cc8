#!/usr/bin/env python3
"""Every file that names the version names that of CMakeLists.txt: version_test.py"""

import json
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.search(r"^project\(hasigner VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE).group(1)


class VersionTests(unittest.TestCase):
    def test_names_of_files_in_documents(self):
        documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "bindings/node/README.md"]
        found = {(document.name, version) for document in documents for version in re.findall(r"\bha-signer[-_](\d+\.\d+\.\d+)", document.read_text())}
        self.assertIn(("README.md", VERSION), found)
        self.assertEqual({version for _, version in found}, {VERSION}, found)

    def test_find_package_in_the_readme(self):
        self.assertEqual(re.findall(r"find_package\(hasigner (\S+)", (ROOT / "README.md").read_text()), [VERSION.rpartition(".")[0]])

    def test_the_newest_release_of_the_changelog(self):
        releases = re.findall(r"^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
        self.assertEqual(releases[0], VERSION)

    def test_manifests(self):
        self.assertEqual(json.loads((ROOT / "hasigner/service/openapi.json").read_text())["info"]["version"], VERSION)
        self.assertEqual(json.loads((ROOT / "bindings/node/package.json").read_text())["version"], "@PROJECT_VERSION@")
        tags = re.findall(r"newTag: (\S+)", (ROOT / "deploy/kubernetes/kustomization.yaml").read_text())
        self.assertEqual(tags, [VERSION])


if __name__ == "__main__":
    unittest.main(verbosity=2)
