#!/usr/bin/env python3
"""A real Prometheus takes deploy/prometheus/, watches a signing service that runs, and answers the dashboard's questions."""

import json
import re
import shutil
import ssl
import subprocess
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

import e2e_support as e2e
from serve_preferred_test import HealthServer
from serve_tls_test import Authority
from service_support import Service

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


class Prometheus:
    """A server of the test's own with a configuration, which it reads in `folder`."""

    def __init__(self, folder, configuration):
        self.port = e2e.free_port()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self.log = (folder / "prometheus.log").open("w+")
        self.process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", f"--web.listen-address=127.0.0.1:{self.port}"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def wait_for(self, what, question, *, timeout=60):
        """The first answer of `question` that says something. Prometheus does not announce changes, so the test polls."""
        give_up_at = time.monotonic() + timeout
        answer = None
        while time.monotonic() < give_up_at and self.process.poll() is None:
            try:
                answer = question()
            except OSError:  # it does not listen yet
                answer = None
            if answer:
                return answer
            time.sleep(0.05)
        self.log.seek(0)
        raise AssertionError(f"Prometheus never had {what}: {answer}\n{self.log.read()[-3000:]}")

    def alerts(self, state):
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == state}

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()


@unittest.skipUnless(shutil.which("prometheus"), "Debian's package prometheus is not installed")
class PrometheusServerTests(unittest.TestCase):
    """One node with all that it can watch, and a certificate and clients, one Prometheus with the files of deploy/ and its own paths in them."""

    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        cls.addClassCleanup(cls.folder.remove)
        authority = Authority(cls.folder.path, "authority")
        certificate, key = authority.issue("server")
        made = json.loads(e2e.run("token", "--name", "prometheus", "--rights", "read", "--json").stdout)
        signing = json.loads(e2e.run("token", "--name", "validator-1", "--json").stdout)
        cls.folder.file("prometheus.token", made["token"])
        cls.token = signing["token"]
        health = HealthServer()
        cls.addClassCleanup(health.end)
        cls.service = Service(cls.folder.path, "--tls-certificate", str(certificate), "--tls-key", str(key),
                              "--data-directory", str(cls.folder.path / "data"), "--audit-log", str(cls.folder.path / "audit.jsonl"),
                              environment={"HA_SIGNER_HEALTH_URL": health.url()}, database=e2e.postgres().new_database(), clients=f"{made['line']}\n{signing['line']}\n",
                              tls=ssl.create_default_context(cafile=str(authority.certificate)))
        cls.addClassCleanup(cls.service.stop)
        cls.prometheus = Prometheus(cls.folder.path, cls.configuration(authority.certificate))
        cls.addClassCleanup(cls.prometheus.stop)

    @classmethod
    def configuration(cls, authority):
        """deploy/prometheus/scrape.yml and its alerts, as they are but for paths and what would make the test wait."""
        configuration = yaml.safe_load((DEPLOY / "prometheus/scrape.yml").read_text())
        job, = configuration["scrape_configs"]
        job["authorization"]["credentials_file"] = "prometheus.token"
        job["tls_config"]["ca_file"] = str(authority)
        job["scrape_interval"] = job["scrape_timeout"] = "250ms"
        job["static_configs"] = [{"targets": cls.service.addresses}]
        name, = configuration["rule_files"]
        alerts = (DEPLOY / "prometheus/alerts.yml").read_text()
        (cls.folder.path / name).write_text(re.sub(r"\bfor: (15|30)s", "for: 1s", alerts))
        return configuration | {"global": {"evaluation_interval": "250ms"}}

    def test_1_scrapes_the_service_and_takes_every_alert(self):
        target, = self.prometheus.wait_for("a target that is up", lambda: [target for target in self.prometheus.ask("targets")["activeTargets"]
                                                                        if target["health"] == "up"])
        self.assertEqual(target["labels"]["job"], "ha-signer")
        rules = self.prometheus.wait_for("evaluated every rule", self.evaluated)
        self.assertEqual(len(rules), (DEPLOY / "prometheus/alerts.yml").read_text().count("alert: "))
        self.assertEqual([(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"], [])

    def evaluated(self):
        rules = [rule for group in self.prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return all(rule["health"] != "unknown" for rule in rules) and rules

    def test_2_answers_every_question_of_the_dashboard(self):
        self.service.sign(slot=1, token=self.token)
        # A rate needs two looks at what grows.
        self.prometheus.wait_for("the signature", lambda: self.prometheus.query("aztec_ha_signer_signing_success_count == 1"))
        self.service.sign(slot=2, token=self.token)
        dashboard = json.loads((DEPLOY / "grafana/ha-signer.json").read_text())
        asked = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
        self.assertGreater(len(asked), 30)
        for title, expression in asked:
            expression = expression.replace("$node", ".*").replace("$__rate_interval", "1m").replace("$__range", "1h")
            self.assertNotIn("$", expression, title)
            with self.subTest(title=title, expression=expression):
                self.prometheus.wait_for(f"an answer for {title}", lambda asked=expression: self.prometheus.query(asked), timeout=20)

    def test_3_what_a_refusal_and_a_lone_primary_are_is_told(self):
        self.service.sign(slot=3, token=self.token)
        self.prometheus.wait_for("a count before the refusal", lambda: self.prometheus.query("aztec_ha_signer_slashing_protection_count"))
        self.assertEqual(self.service.sign("0xbb", slot=3, token=self.token).status, 412)
        self.prometheus.wait_for("an alert of the refusal", lambda: "HaSignerSlashingProtection" in self.prometheus.alerts("firing"))
        # There are no standbys here, and the alert waits a minute.
        self.prometheus.wait_for("an alert of the lone primary", lambda: "HaSignerNotSynchronous" in self.prometheus.alerts("pending"))
        self.assertEqual(self.prometheus.alerts("firing"), {"HaSignerSlashingProtection"})

    def test_4_missing_standbys_are_told(self):
        server = e2e.postgres()
        self.addCleanup(server.sql, "select pg_reload_conf()")
        self.addCleanup(server.sql, "alter system reset synchronous_standby_names")
        server.sql("alter system set synchronous_standby_names = 'ANY 1 (site_b, site_c)'")
        server.sql("select pg_reload_conf()")
        alerts = {"HaSignerStandbyMissing", "HaSignerNoNodeSigns", "HaSignerNodeNotReady"}
        self.prometheus.wait_for("alerts of missing standbys", lambda: alerts <= self.prometheus.alerts("firing"))
        server.sql("alter system reset synchronous_standby_names")
        server.sql("select pg_reload_conf()")
        self.prometheus.wait_for("an end of them", lambda: not alerts & self.prometheus.alerts("firing"))

    def test_5_the_end_of_the_last_node_is_told(self):
        self.assertEqual(self.service.stop(), 0)
        self.prometheus.wait_for("an alert that no node signs", lambda: "HaSignerNoNodeSigns" in self.prometheus.alerts("firing"))
        self.prometheus.wait_for("an alert of the node", lambda: "HaSignerDown" in self.prometheus.alerts("pending"))


if __name__ == "__main__":
    e2e.main()
