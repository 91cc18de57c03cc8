#!/usr/bin/env python3
"""The files of deploy/ against what the program really is.

Docker and Kubernetes are not there to ask, so what they would look at is looked at here: names of fields, what refers to
what, paths, packages. promtool and systemd-analyze are asked where they are installed.
"""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import yaml

import e2e_support as e2e
from service_support import Service

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
METRIC = re.compile(r"\b(?:aztec_)?ha_signer_[a-z_]+\b")


def documents(name):
    return [document for document in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()) if document]


def setting_names():
    """By environment name: what `ha-signer config` shows."""
    shown = e2e.run("config", "--json")
    assert shown.returncode == 0, shown.stderr
    return set(re.findall(r'"([A-Z][A-Z0-9_]+)"', shown.stdout))


class MetricsTests(unittest.TestCase):
    """Names in alerts, dashboard and documents are those of a service that runs."""

    @classmethod
    def setUpClass(cls):
        cls.folder = e2e.Folder()
        service = Service(cls.folder.path, "--data-directory", str(cls.folder.path / "data"), "--health-url", "http://127.0.0.1:9/", "--audit-log", str(cls.folder.path / "audit.jsonl"), database=e2e.postgres().new_database())
        try:
            service.sign(slot=1)
            service.sign("0xbb", slot=1)
            text = service.get("/metrics").text
            text += service.get("/metrics").text
        finally:
            service.stop()
        samples = re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", text, re.MULTILINE)
        cls.names = {name for name, _ in samples}
        cls.labels = {label for _, labels in samples for label in re.findall(r"(\w+)=", labels)}
        cls.families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))

    @classmethod
    def tearDownClass(cls):
        cls.folder.remove()

    def check_query(self, query, where):
        query = re.sub(r'"[^"]*"', '""', query)
        for grouping in re.findall(r"\bby \(([^)]*)\)", query):
            self.check_labels(re.split(r",\s*", grouping), where)
        self.check_labels(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", query), where)
        used = set(METRIC.findall(re.sub(r"\bby \([^)]*\)|\{[^}]*\}", "", query)))
        self.assertLessEqual(used, self.names, f"{where}: {query}")
        return used

    def check_labels(self, labels, where):
        self.assertLessEqual(set(labels), self.labels | {"instance", "job", "le"}, where)

    def test_alerts_ask_for_metrics_that_are_there(self):
        rules = [rule for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"] for rule in group["rules"]]
        self.assertGreater(len(rules), 10)
        used = set()
        for rule in rules:
            used |= self.check_query(rule["expr"], rule["alert"])
            self.check_labels(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])), rule["alert"])
        self.assertIn("ha_signer_in_doubt_count", used)

    def test_the_dashboard_asks_for_metrics_that_are_there(self):
        dashboard = json.loads((DEPLOY / "grafana/ha-signer.json").read_text())
        used = set()
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                used |= self.check_query(target["expr"], panel["title"])
                self.check_labels(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]), panel["title"])
        positions = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
        self.assertEqual(len(set(positions)), len(positions))
        # Every figure that the service counts is shown.
        shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} | used
        ours = {family for family in self.families if family.startswith(("aztec_", "ha_signer_"))}
        self.assertEqual(ours - shown, set(), "the dashboard does not show these")

    def test_documents_speak_of_metrics_that_are_there(self):
        text = (ROOT / "docs/operating.md").read_text()
        named = {name for code in re.findall(r"`([^`]+)`", text) for name in METRIC.findall(code)}
        objects = {"ha_signer_owner", "ha_signer_cluster", "ha_signer_nodes", "ha_signer_schema", "ha_signer_watermarks", "ha_signer_released",
                   "ha_signer_key_switches", "ha_signer_set_watermark",
                   "ha_signer_claim_signed", "ha_signer_forbid_up_to"}
        self.assertLessEqual(named - objects, self.names | self.families)

    def test_every_alert_is_explained(self):
        text = (ROOT / "docs/operating.md").read_text()
        alerts = re.findall(r"alert: (\w+)", (DEPLOY / "prometheus/alerts.yml").read_text())
        self.assertEqual([alert for alert in alerts if f"`{alert}`" not in text], [])


class PrometheusTests(unittest.TestCase):
    def test_alerts_fire_when_they_should_and_only_then(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("promtool (Debian's package prometheus) is not installed")
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        shutil.copy(DEPLOY / "prometheus/alerts.yml", folder.path)
        shutil.copy(ROOT / "tests/deploy/alerts_test.yml", folder.path)
        shutil.copy(DEPLOY / "prometheus/scrape.yml", folder.path)
        shutil.copy(DEPLOY / "prometheus/alerts.yml", folder.path / "ha-signer-alerts.yml")
        for check in (("check", "config", "--syntax-only", "scrape.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
            done = subprocess.run([promtool, *check], cwd=folder.path, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class SystemdTests(unittest.TestCase):
    def test_units_are_right_and_closed(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd is not installed")
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        text = (DEPLOY / "systemd/ha-signer.service").read_text()
        # The program is not installed where a user would have it.
        service = folder.file("ha-signer.service", text.replace("/usr/bin/ha-signer", e2e.PROGRAM), 0o644)
        listener = folder.file("ha-signer.socket", (DEPLOY / "systemd/ha-signer.socket").read_text(), 0o644)
        verified = subprocess.run(["systemd-analyze", "verify", service, listener], capture_output=True, text=True, timeout=60)
        self.assertEqual((verified.returncode, verified.stdout + verified.stderr), (0, ""))
        judged = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=15", service],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(judged.returncode, 0, judged.stdout)

    def test_takes_the_socket_that_systemd_has_opened(self):
        """With systemd's own half of socket activation, which starts the program when the first client connects."""
        if not shutil.which("systemd-socket-activate"):
            self.skipTest("systemd is not installed")
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        path = folder.path / "ha-signer.sock"
        starter = folder.file("start", f'#!/bin/sh\nexec systemd-socket-activate --listen {path} {e2e.PROGRAM} "$@"\n', 0o700)
        with unittest.mock.patch.object(e2e, "PROGRAM", starter):
            service = Service(folder.path, listen=None, wait=False)
        self.addCleanup(service.stop)
        while not self.is_listened_to(path):
            self.assertIsNone(service.process.poll(), service.log())
        self.assertEqual(service.sign(address=f"unix:{path}").status, 200)
        self.assertEqual(service.wait_for("listening")["on"], f"unix:{path}")
        self.assertEqual(service.stop(), 0)
        self.assertTrue(path.exists(), "the socket is systemd's: clients wait at it for the next start")

    def is_listened_to(self, path):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    def test_the_settings_file_holds_settings(self):
        folder = e2e.Folder()
        self.addCleanup(folder.remove)
        text = (DEPLOY / "systemd/signer.toml").read_text()
        # What is a comment there is a setting too; and no key belongs to the zero address.
        text = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE).replace("0x" + "0" * 40, e2e.ROLLUP)
        shown = e2e.run("config", "--config", folder.file("signer.toml", text))
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertNotIn("PASSWORD", shown.stdout)


class ContainerTests(unittest.TestCase):
    def setUp(self):
        self.text = (DEPLOY / "container/Dockerfile").read_text()
        self.instructions = [line.split(maxsplit=1) for line in re.sub(r"\\\n", " ", self.text).splitlines() if line and line[0] not in "# "]

    def of(self, name):
        return [rest for instruction, rest in self.instructions if instruction == name]

    def test_base_images_are_named_by_digest(self):
        build, last = (image.split()[0] for image in self.of("FROM"))
        self.assertRegex(build, r"^debian:12@sha256:[0-9a-f]{64}$")
        self.assertEqual(last, "scratch")

    def test_what_is_copied_is_there_and_enough_to_configure(self):
        build = tempfile.mkdtemp(prefix="ha-signer-image-")
        self.addCleanup(shutil.rmtree, build)
        ignored = (DEPLOY / "container/Dockerfile.dockerignore").read_text().split("\n")
        for line in self.of("COPY"):
            if line.startswith("--from"):
                continue
            *sources, target = line.split()
            for source in sources:
                self.assertTrue((ROOT / source).exists(), source)
                self.assertTrue(any(f"!{source}" == kept for kept in ignored), f"{source} is kept out of the context")
                installed = Path(build) / target / (Path(source).name if target.endswith("/") else "")
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, installed, ignore=shutil.ignore_patterns("*_test.cpp", "*_pgtest.cpp"))
                else:
                    installed.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, installed)
        configure = re.search(r"cmake --preset release[^&\\]*", self.text).group().split()
        done = subprocess.run(configure, cwd=build, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_runs_without_privileges_and_holds_no_secret(self):
        self.assertEqual(self.of("USER"), ["10001:10001"])
        self.assertEqual(self.of("ENTRYPOINT"), ['["ha-signer"]'])
        names = {assignment.split("=")[0] for line in self.of("ENV") for assignment in line.split()}
        self.assertEqual(names, {"DATA_DIRECTORY", "PATH"})
        self.assertEqual(self.of("ARG") + self.of("ADD"), [])
        for command in (json.loads(self.of("CMD")[0]), json.loads(self.of("HEALTHCHECK")[0].split(" CMD ")[1])[1:]):
            self.assertEqual(e2e.run(*command, "--help").returncode, 0)
        self.assertTrue((ROOT / "scripts/install-dependencies").stat().st_mode & 0o100)


# What may stand where, from Kubernetes' API reference: a name that is not there is a typing error that would be lost without
# a word. None: any names.
SECURITY = {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile", "allowPrivilegeEscalation",
            "readOnlyRootFilesystem", "capabilities"}
FIELDS = {
    "metadata": {"name", "namespace", "labels"}, "labels": None, "matchLabels": None, "data": None, "stringData": None,
    "securityContext": SECURITY, "seccompProfile": {"type"}, "capabilities": {"drop"}, "selector": None,
    "template": {"metadata", "spec"}, "updateStrategy": {"type"}, "affinity": {"podAntiAffinity"},
    "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution"},
    "requiredDuringSchedulingIgnoredDuringExecution": {"topologyKey", "labelSelector"}, "labelSelector": {"matchLabels"},
    "topologySpreadConstraints": {"maxSkew", "topologyKey", "whenUnsatisfiable", "labelSelector"},
    "containers": {"name", "image", "args", "env", "envFrom", "ports", "startupProbe", "livenessProbe", "readinessProbe",
                   "lifecycle", "resources", "securityContext", "volumeMounts"},
    "env": {"name", "value", "valueFrom"}, "valueFrom": {"secretKeyRef", "fieldRef"}, "secretKeyRef": {"name", "key"},
    "fieldRef": {"fieldPath"}, "envFrom": {"configMapRef"}, "configMapRef": {"name"},
    "startupProbe": {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"},
    "livenessProbe": {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"},
    "readinessProbe": {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"}, "httpGet": {"path", "port", "scheme"},
    "lifecycle": {"preStop"}, "preStop": {"exec"}, "exec": {"command"}, "resources": {"requests", "limits"},
    "requests": {"cpu", "memory", "storage"}, "limits": {"cpu", "memory"}, "volumeMounts": {"name", "mountPath", "readOnly"},
    "volumeClaimTemplates": {"metadata", "spec"}, "volumes": {"name", "secret"}, "secret": {"secretName", "defaultMode"}, "podSelector": {"matchLabels"},
    "namespaceSelector": {"matchLabels"}, "ingress": {"from", "ports"}, "egress": {"to", "ports"},
    "from": {"namespaceSelector", "podSelector"}, "to": {"namespaceSelector", "podSelector", "ipBlock"}, "ipBlock": {"cidr"},
}
CLAIM = {"accessModes", "resources"}
PORTS = {"StatefulSet": {"name", "containerPort"}, "Service": {"name", "port", "targetPort"}, "NetworkPolicy": {"port", "protocol"}}
POD = {"restartPolicy", "automountServiceAccountToken", "enableServiceLinks", "securityContext", "containers", "volumes", "affinity",
       "topologySpreadConstraints", "terminationGracePeriodSeconds"}
SPECS = {
    "Job": {"backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "template"},
    "StatefulSet": {"serviceName", "replicas", "podManagementPolicy", "updateStrategy", "minReadySeconds", "selector", "template", "volumeClaimTemplates"},
    "Service": {"selector", "ports", "clusterIP", "publishNotReadyAddresses"},
    "PodDisruptionBudget": {"maxUnavailable", "selector"},
    "NetworkPolicy": {"podSelector", "policyTypes", "ingress", "egress"},
}
VERSIONS = {"Job": "batch/v1", "StatefulSet": "apps/v1", "PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1"}


class KubernetesTests(unittest.TestCase):
    def setUp(self):
        self.kustomization = documents("kustomization.yaml")[0]
        self.all = [document for name in [*self.kustomization["resources"], "secrets.example.yaml"] for document in documents(name)]

    def of(self, kind):
        return [document for document in self.all if document["kind"] == kind]

    def check_fields(self, value, allowed, path, kind):
        if isinstance(value, list):
            for i, one in enumerate(value):
                self.check_fields(one, allowed, f"{path}[{i}]", kind)
        elif isinstance(value, dict) and allowed is not None:
            self.assertLessEqual(set(value), allowed, path)
            for name, inner in value.items():
                specs = {"template": POD, "volumeClaimTemplates[0]": CLAIM}
                within = PORTS.get(kind) if name == "ports" else FIELDS.get(name, set())
                if name == "spec":
                    within = specs[path.rsplit(".", 1)[1]]
                self.check_fields(inner, within, f"{path}.{name}", kind)

    def test_every_field_is_one_that_kubernetes_knows(self):
        for document in self.all:
            kind = document["kind"]
            self.assertEqual(document["apiVersion"], VERSIONS.get(kind, "v1"))
            self.check_fields(document["metadata"], FIELDS["metadata"], "metadata", kind)
            self.check_fields(document.get("spec", {}), SPECS.get(kind, set()), f"{kind}.spec", kind)

    def test_kubectl_puts_it_together(self):
        if not shutil.which("kubectl"):
            self.skipTest("kubectl is not installed")
        made = subprocess.run(["kubectl", "kustomize", DEPLOY / "kubernetes"], capture_output=True, text=True, timeout=60)
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        together = list(yaml.safe_load_all(made.stdout))
        self.assertEqual(sorted(document["kind"] for document in together),
                         sorted(document["kind"] for document in self.all if document["kind"] != "Secret"))
        for document in together:
            self.assertEqual(document["metadata"].get("namespace", "aztec-signer"), "aztec-signer")
        self.assertEqual(set(re.findall(r"image: (\S+)", made.stdout)), {"registry.example/ha-signer:0.1.0"})

    def test_settings_are_those_of_the_program(self):
        names = setting_names()
        self.assertIn("HA_SIGNER_LISTEN", names)
        self.assertLessEqual(set(self.of("ConfigMap")[0]["data"]), names)
        for pod in self.pods():
            for container in pod["containers"]:
                self.assertLessEqual({variable["name"] for variable in container.get("env", [])}, names | {"DATABASE_URL"})
                self.assertEqual(e2e.run(*container["args"], "--help").returncode, 0)

    def test_settings_are_accepted_as_they_stand(self):
        settings = dict(self.of("ConfigMap")[0]["data"], ROLLUP_CONTRACT_ADDRESS=e2e.ROLLUP, VALIDATOR_HA_NODE_ID="ha-signer-0")
        for secret in self.of("Secret"):
            url = secret["stringData"].get("url")
            if url:
                shown = e2e.run("config", env=e2e.clean_environment(**settings, VALIDATOR_HA_DATABASE_URL=url))
                self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        # Only root may write the files that decide which keys sign: every path of a setting is on a volume.
        mounts = {mount["mountPath"] for pod in self.pods() for container in pod["containers"] for mount in container["volumeMounts"]}
        for name, value in settings.items():
            if value.startswith("/"):
                self.assertTrue(any(Path(value).is_relative_to(mount) for mount in mounts), name)

    def test_what_is_referred_to_is_there(self):
        secrets = {secret["metadata"]["name"]: set(secret["stringData"]) for secret in self.of("Secret")}
        maps = {document["metadata"]["name"] for document in self.of("ConfigMap")}
        labels = [(kind, document["spec"]["template"]["metadata"]["labels"]) for kind in ("StatefulSet", "Job") for document in self.of(kind)]
        claims = {claim["metadata"]["name"] for claim in self.of("StatefulSet")[0]["spec"]["volumeClaimTemplates"]}
        for pod in self.pods():
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            for volume in pod["volumes"]:
                self.assertIn(volume["secret"]["secretName"], secrets)
                self.assertEqual(volume["secret"]["defaultMode"], 0o440)
            for container in pod["containers"]:
                mounted = {mount["name"] for mount in container["volumeMounts"]}
                self.assertEqual(mounted - claims, volumes)
                self.assertEqual(mounted & claims, claims if container["args"] == ["serve"] else set())
                self.assertEqual({source["configMapRef"]["name"] for source in container.get("envFrom", [])} - maps, set())
                for variable in container["env"]:
                    reference = variable["valueFrom"].get("secretKeyRef")
                    self.assertTrue(not reference or reference["key"] in secrets[reference["name"]])
        for document in self.of("Service") + self.of("PodDisruptionBudget") + self.of("StatefulSet"):
            selector = document["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            chosen = [kind for kind, has in labels if selector.items() <= has.items()]
            self.assertEqual(chosen, ["StatefulSet"], "only the service, never the migration")
        self.assertIn(self.of("StatefulSet")[0]["spec"]["serviceName"], [service["metadata"]["name"] for service in self.of("Service")])

    def pods(self):
        return [document["spec"]["template"]["spec"] for kind in ("StatefulSet", "Job") for document in self.of(kind)]

    def test_pods_have_no_rights_and_probes_ask_open_routes(self):
        described = json.loads((ROOT / "hasigner/service/openapi.json").read_text())["paths"]
        for pod in self.pods():
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertIs(pod["enableServiceLinks"], False, "variables of services begin as settings do")
            for container in pod["containers"]:
                self.assertEqual(container["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                               "capabilities": {"drop": ["ALL"]}})
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    if probe in container:
                        self.assertEqual(described[container[probe]["httpGet"]["path"]]["get"]["security"], [])

    def test_a_node_id_is_its_pods_name(self):
        self.assertEqual(self.of("Deployment"), [], "pods of a Deployment have another name after each update")
        variables = self.of("StatefulSet")[0]["spec"]["template"]["spec"]["containers"][0]["env"]
        source = next(variable for variable in variables if variable["name"] == "VALIDATOR_HA_NODE_ID")
        self.assertEqual(source["valueFrom"], {"fieldRef": {"fieldPath": "metadata.name"}})


if __name__ == "__main__":
    e2e.main()
