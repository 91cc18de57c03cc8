"""What the tests of `doctor` share: a deployment that is well, to be broken in one point, and what doctor says of it."""

import json
import unittest

import e2e_support as e2e
from service_support import CHAIN_ID

PASSWORD = "s3cret"


class DoctorCase(unittest.TestCase):
    def setUp(self):
        self.folder = e2e.Folder()
        self.addCleanup(self.folder.remove)
        self.keys = self.folder.file("keys.json", json.dumps(
            {"schemaVersion": 1, "validators": [{"attester": e2e.KEY, "feeRecipient": "0x" + "11" * 32}]}))
        self.variables = {"KEY_STORE_DIRECTORY": self.keys, "L1_CHAIN_ID": str(CHAIN_ID), "ROLLUP_CONTRACT_ADDRESS": e2e.ROLLUP,
                          "VALIDATOR_HA_NODE_ID": "node-1", "HA_SIGNER_GENESIS_TIME": "1700000000", "AZTEC_SLOT_DURATION": "72",
                          "HA_SIGNER_LISTEN": f"127.0.0.1:{e2e.free_port()}"}

    def doctor(self, *arguments, within="", **variables):
        """Its findings by the names of the checks. A variable that is None is left out; `within`: commands of bash before it."""
        both = self.variables | variables
        environment = e2e.clean_environment(**{name: value for name, value in both.items() if value is not None})
        command = [e2e.PROGRAM, "doctor", "--json", *arguments]
        if within:
            command = ["bash", "-c", f'{within} "$@"', "bash", *command]
        done = e2e.run(*command[1:], program=command[0], env=environment)
        for secret in (PASSWORD, e2e.KEY, e2e.KEY.removeprefix("0x")):
            self.assertNotIn(secret, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode, report["exit_code"], done.stdout + done.stderr)
        self.code = done.returncode
        findings = {finding["check"]: finding for finding in report["checks"]}
        self.assertEqual(len(findings), len(report["checks"]), "every check has a name of its own")
        for finding in findings.values():
            if finding["verdict"] in ("warning", "failure"):
                self.assertTrue(finding["mend"], finding)
        counts = {verdict: sum(finding["verdict"] == verdict for finding in findings.values()) for verdict in report["counts"]}
        self.assertEqual(counts, report["counts"])
        return findings

    def finds(self, findings, check, verdict, found, mend=None):
        """The check's verdict, and patterns of what it has found and of what mends it."""
        finding = findings[check]
        self.assertEqual(finding["verdict"], verdict, finding)
        self.assertRegex(finding["found"], found)
        if mend is None:
            self.assertIsNone(finding["mend"], finding)
        else:
            self.assertRegex(finding["mend"] or "", mend)

    def is_well(self, findings, check, found):
        self.finds(findings, check, "ok", found)
