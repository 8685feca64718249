"""What lies in deploy/ is true of the code: routes, metrics, settings, files; no engine, cluster or cloud is needed."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from starlette.testclient import TestClient

from tests.serving import conftest as serving_fixtures
from tests.serving.conftest import Service, encoded, make_bundle, variant
from visionloop.artifact import deployment
from visionloop.artifact.deployment import Deployment, Lineup
from visionloop.core.errors import BundleError
from visionloop.core.places import PARAMS_VARIABLE, STATE_VARIABLE
from visionloop.core.settings import parse_settings
from visionloop.data.samples import Dataset
from visionloop.monitoring.alerts import metrics as alert_metrics
from visionloop.serving import metrics
from visionloop.serving.guard import Guard
from visionloop.serving.settings import ServingSettings

settings, service = serving_fixtures.settings, serving_fixtures.service

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
K8S = DEPLOY / "kubernetes"
YAML_FILES = sorted([*DEPLOY.rglob("*.yml"), *DEPLOY.rglob("*.yaml")])
DOCS = (ROOT / "docs/deploy.md").read_text()


@pytest.fixture(scope="module")
def bundles(datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One for each task."""
    folder = tmp_path_factory.mktemp("deploy")
    return {task: make_bundle(task, dataset, folder / task / "bundle", 0) for task, dataset in datasets.items()}


def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


# -- everything


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_yaml_parses(path: Path) -> None:
    assert all(isinstance(document, dict) for document in yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_parse(path: Path) -> None:
    subprocess.run(["sh", "-n", str(path)], check=True)


@pytest.mark.parametrize("path", ["params.yaml", "kubernetes/params.yaml"])
def test_settings_are_valid_and_ask_for_keys(path: str) -> None:
    found = parse_settings(ServingSettings, load(path)["serving"], where=path)
    Guard(lambda *_: None, ring=None, settings=found, role_of=lambda *_: None)  # type: ignore[arg-type,return-value]
    assert found.host == "0.0.0.0"
    assert found.keys.required is True
    assert "*" not in found.hosts
    assert ":" not in found.store.url.partition("://")[2], "a password belongs into the environment"


def test_relative_links_and_named_files_of_the_docs_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", DOCS):
        assert (ROOT / "docs" / target).exists(), target
    for name in re.findall(r"`(deploy/[\w./-]+)`", DOCS):
        assert (ROOT / name).exists() or name in ("deploy/.env", "deploy/secrets/metrics_key"), name


# -- image


def copied(dockerfile: str) -> list[str]:
    """Sources that a Dockerfile copies from its context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", (DEPLOY / dockerfile).read_text(), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_copied_files_exist_or_are_made_by_the_demo() -> None:
    made = {"mlruns/deployment.json", "mlruns/deployed"}
    sources = set(copied("Dockerfile"))
    assert made | {"service.py", "params.yaml", "requirements-serve.txt", "src"} <= sources
    assert [source for source in sorted(sources - made) if not (ROOT / source).exists()] == []
    general = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert general["registry"]["pointer"] == general["serving"]["pointer"] == "mlruns/deployment.json"


def test_the_context_holds_what_is_copied_and_no_secrets() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied("Dockerfile"))


def test_the_image_runs_as_a_number_and_is_healthy_when_ready() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\\\n.*http://127\.0\.0\.1:3000/readyz", text, re.MULTILINE)
    assert f"{PARAMS_VARIABLE}=/app/params.yaml" in text
    assert f"{STATE_VARIABLE}=/state" in text


def test_nothing_tells_others_how_it_is_used() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert {"BENTOML_DO_NOT_TRACK=True", "ORT_DISABLE_TELEMETRY=1"} <= set(text.split())
    assert load("azureml/deployment.yml")["environment_variables"] == {"ORT_DISABLE_TELEMETRY": "1"}


def test_mlflow_has_the_version_of_the_lock() -> None:
    found = re.search(r"mlflow==([\d.]+)", (DEPLOY / "mlflow.Dockerfile").read_text())
    assert found is not None
    assert f"\nmlflow=={found[1]} " in (ROOT / "requirements.lock").read_text()


def test_models_are_installed_and_obsolete_ones_removed(tmp_path: Path) -> None:
    def install(version: str) -> Deployment:
        shutil.rmtree(tmp_path / "from", ignore_errors=True)
        bundle = tmp_path / "from/deployed" / version / "bundle"
        bundle.mkdir(parents=True)
        (bundle / "bundle.json").write_text(version)
        lineup = Lineup(champion=deployment.Variant(
            model="m", version=version, digest=version,
            bundle=deployment.relative_bundle(tmp_path / "from/deployment.json", bundle),
        ))  # fmt: skip
        deployment.change(tmp_path / "from/deployment.json", "detection", lambda _: lineup)
        subprocess.run(["sh", DEPLOY / "install_models.sh", tmp_path / "from", tmp_path / "to"], check=True)
        return Deployment.read(tmp_path / "to/deployment.json")

    for version in ("1", "1", "2"):
        found = install(version)
        champion = found.tasks["detection"].champion
        path = found.bundle_path(tmp_path / "to/deployment.json", champion)
        assert (path / "bundle.json").read_text() == version
        assert [folder.name for folder in (tmp_path / "to/deployed").iterdir()] == [version]


# -- compose

COMPOSE = load("docker-compose.yml")
SERVICES: Mapping[str, Any] = COMPOSE["services"]


def test_compose_has_every_service() -> None:
    assert set(SERVICES) == {"models", "service", "postgres", "mlflow", "prometheus", "grafana"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_compose_service_is_bounded_and_looked_after(name: str) -> None:
    found = SERVICES[name]
    assert found["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert found["security_opt"] == ["no-new-privileges:true"]
    if name == "models":
        assert found["restart"] == "no"
    else:
        assert found["restart"] == "unless-stopped"
        # The service's own health check stands in its Dockerfile.
        assert name == "service" or "test" in found["healthcheck"]


def test_compose_names_files_volumes_networks_and_services_that_exist() -> None:
    for name, found in SERVICES.items():
        if "build" in found:
            assert (DEPLOY / found["build"]["context"] / found["build"]["dockerfile"]).is_file()
        for mount in found.get("volumes", ()):
            source = mount.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], name
        assert set(found.get("networks", ())) <= COMPOSE["networks"].keys()
        assert set(found.get("secrets", ())) <= COMPOSE["secrets"].keys()
        assert set(found.get("depends_on", ())) <= SERVICES.keys()


def test_only_this_machine_reaches_a_port_and_nobody_mlflow_or_postgresql() -> None:
    for name in ("mlflow", "postgres"):
        assert "ports" not in SERVICES[name]
        assert SERVICES[name]["networks"] == ["back"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    ports = [port for found in SERVICES.values() for port in found.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_asks_for_exactly_the_secrets_of_the_example() -> None:
    text = (DEPLOY / "docker-compose.yml").read_text()
    example = re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE)
    assert {name for name, _ in example} == set(re.findall(r"\$\{(\w+):\?", text))
    assert "${" not in re.sub(r"\$\{\w+:\?", "", text)
    assert {value for _, value in example} == {""}
    assert {"/.env", "/secrets/"} <= set((DEPLOY / ".gitignore").read_text().split())


def test_compose_gives_the_service_its_settings_and_volumes() -> None:
    found, serving = SERVICES["service"], load("params.yaml")["serving"]
    mounts = dict(mount.split(":")[:2] for mount in found["volumes"])
    assert mounts["./params.yaml"] == found["environment"][PARAMS_VARIABLE]
    assert serving["pointer"] == f"{mounts['models']}/deployment.json"
    assert SERVICES["models"]["command"][-1] == mounts["models"]
    assert mounts["state"] == "/state"
    assert found["read_only"] is True


def test_prometheus_asks_a_name_that_the_service_answers_with_a_key() -> None:
    config = load("prometheus/prometheus.yml")
    (job,) = config["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    serving = load("params.yaml")["serving"]
    assert host in SERVICES
    assert host in serving["hosts"]
    assert int(port) == serving["port"]
    assert Path(job["authorization"]["credentials_file"]).name in SERVICES["prometheus"]["secrets"]
    mounted = {mount.split(":")[1] for mount in SERVICES["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in config["rule_files"]} < mounted


# -- Kubernetes

KINDS = {
    ("v1", "Namespace"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
}
KUSTOMIZATION = load("kubernetes/kustomization.yaml")
MANIFESTS = [
    manifest for name in KUSTOMIZATION["resources"] for manifest in yaml.safe_load_all((K8S / name).read_text())
]
BY_KIND: Mapping[str, Any] = {manifest["kind"]: manifest for manifest in MANIFESTS}
POD = BY_KIND["Deployment"]["spec"]["template"]
JOB_POD = BY_KIND["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]


def test_kustomization_holds_every_manifest_once() -> None:
    others = {"kustomization.yaml", *KUSTOMIZATION["configMapGenerator"][0]["files"]}
    assert sorted(KUSTOMIZATION["resources"]) == sorted({path.name for path in K8S.iterdir()} - others)
    assert {(manifest["apiVersion"], manifest["kind"]) for manifest in MANIFESTS} == KINDS
    assert len(MANIFESTS) == len(KINDS)
    assert KUSTOMIZATION["namespace"] == BY_KIND["Namespace"]["metadata"]["name"]


def test_selectors_match_the_pods_of_the_service_only() -> None:
    selectors = [
        BY_KIND["Deployment"]["spec"]["selector"]["matchLabels"],
        BY_KIND["Service"]["spec"]["selector"],
        BY_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        BY_KIND["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        POD["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= POD["metadata"]["labels"].items()
        assert not selector.items() <= JOB_POD["metadata"]["labels"].items()


def test_ports_lead_from_ingress_to_container() -> None:
    (port,) = CONTAINER["ports"]
    (service_port,) = BY_KIND["Service"]["spec"]["ports"]
    serving = load("kubernetes/params.yaml")["serving"]
    assert port["containerPort"] == serving["port"]
    assert service_port["targetPort"] == port["name"]
    assert BY_KIND["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["name"]}]
    spec = BY_KIND["Ingress"]["spec"]
    for path in spec["rules"][0]["http"]["paths"]:
        backend = path["backend"]["service"]
        assert backend == {"name": BY_KIND["Service"]["metadata"]["name"], "port": {"name": service_port["name"]}}
    assert spec["rules"][0]["host"] in serving["hosts"]
    assert [spec["rules"][0]["host"]] == spec["tls"][0]["hosts"]


def test_the_ingress_shows_the_api_and_not_the_metrics() -> None:
    paths = [path["path"] for path in BY_KIND["Ingress"]["spec"]["rules"][0]["http"]["paths"]]
    assert paths == ["/v1", "/openapi.json"]


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_a_probe_is_answered(service: Service, probe: str) -> None:
    action = CONTAINER[probe]["httpGet"]
    assert action["port"] == CONTAINER["ports"][0]["name"]
    headers = {header["name"]: header["value"] for header in action["httpHeaders"]}
    found = parse_settings(ServingSettings, load("kubernetes/params.yaml")["serving"], where="")
    guarded = Guard(service.api.app(), ring=None, settings=found, role_of=lambda *_: None)
    client = TestClient(guarded, base_url="http://10.0.0.5:3000")
    assert client.get(action["path"], headers=headers).status_code == 200
    assert client.get(action["path"]).status_code == 400


@pytest.mark.parametrize("pod", [POD, JOB_POD], ids=["service", "retraining"])
def test_pods_have_no_more_rights_than_they_need(pod: Any) -> None:
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["containers"], *spec.get("initContainers", ())]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["resources"].keys() == {"requests", "limits"}
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_a_pod_drains_before_it_stops() -> None:
    serving = parse_settings(ServingSettings, load("kubernetes/params.yaml")["serving"], where="")
    command, seconds = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    longest = serving.upload.body_timeout_s + serving.batching.timeout_s + serving.store.timeout_s
    assert POD["spec"]["terminationGracePeriodSeconds"] >= int(seconds) + longest


def test_a_disruption_leaves_one_pod_and_takes_one() -> None:
    replicas = BY_KIND["Deployment"]["spec"]["replicas"]
    assert replicas == 2
    assert 0 < BY_KIND["PodDisruptionBudget"]["spec"]["minAvailable"] < replicas


def test_the_autoscaler_scales_the_deployment() -> None:
    spec, target = BY_KIND["HorizontalPodAutoscaler"]["spec"], BY_KIND["Deployment"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": target["apiVersion"], "kind": target["kind"], "name": target["metadata"]["name"],
    }  # fmt: skip
    assert target["spec"]["replicas"] == spec["minReplicas"] < spec["maxReplicas"]
    assert "cpu" in CONTAINER["resources"]["requests"]


def test_the_pod_gets_settings_keys_and_models_where_it_looks_for_them() -> None:
    environment = {entry["name"]: entry.get("value") for entry in CONTAINER["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    serving = load("kubernetes/params.yaml")["serving"]
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    assert volumes["params"]["configMap"]["name"] == generated["name"]
    assert environment[PARAMS_VARIABLE] == f"{mounts['params']}/{generated['files'][0]}"
    assert environment[STATE_VARIABLE] == mounts["state"]
    assert serving["keys"]["file"] == f"{mounts['keys']}/keys.json"
    assert serving["pointer"] == f"{mounts['models']}/deployment.json"
    assert POD["spec"]["initContainers"][0]["command"][-1] == mounts["models"]


def test_the_docs_make_every_secret_of_the_manifests() -> None:
    named = set(re.findall(r"(?:secretName|secretKeyRef): ?\{?(?:name: )?([\w-]+)", _text(K8S)))
    assert named == {"visionloop-keys", "visionloop-database", "visionloop-tls"}
    for name in named:
        assert re.search(rf"kubectl .*create secret \w+ {name} ", DOCS), name


def test_retraining_is_suspended_and_says_why() -> None:
    assert BY_KIND["CronJob"]["spec"]["suspend"] is True
    assert "Suspended until" in (K8S / "retraining.yaml").read_text()
    claim = JOB_POD["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == BY_KIND["PersistentVolumeClaim"]["metadata"]["name"]


def _text(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.yaml")))


# -- alerts and dashboard

GROUPS = load("prometheus/alerts.yml")["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERT_TESTS = load("prometheus/alerts_test.yml")
DASHBOARD = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SCRAPED = {"job", "instance"}
METRICS = [*vars(metrics).values(), *vars(alert_metrics).values()]
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def series_labels() -> dict[str, set[str]]:
    """Labels by the name of each series that Prometheus gets from the service."""
    found: dict[str, set[str]] = {"up": set(SCRAPED)}
    for metric in METRICS:
        if isinstance(metric, MetricWrapperBase):
            for suffix in _SUFFIXES[metric._type]:
                labels = {"le"} if suffix == "_bucket" else set()
                found[metric._name + suffix] = SCRAPED | labels | set(metric._labelnames)
    return found


SERIES = series_labels()


def assert_true_of_the_metrics(expression: str) -> None:
    """Every series exists and has the labels that select it; grouping labels belong to some series of it."""
    selectors = re.findall(r"(?<![\w:])(visionloop_\w+|up)\b(?:\{([^}]*)\})?", expression)
    known: set[str] = set()
    for name, matchers in selectors:
        assert name in SERIES, name
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= SERIES[name], matchers
        known |= SERIES[name]
    for recorded in re.findall(r"visionloop:[\w:]+", expression):
        assert recorded in RECORDED
        known |= {"task", "top_class"}
    assert known, expression
    for grouping in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        assert {label.strip() for label in grouping.split(",")} - {""} <= known, grouping
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert", rule.get("record")))
def test_a_rule_asks_for_metrics_that_exist(rule: Any) -> None:
    assert_true_of_the_metrics(rule["expr"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_that_exist(panel: Any) -> None:
    for target in panel["targets"]:
        assert_true_of_the_metrics(target["expr"])
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = {label.strip() for text in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in text.split(",")}
        assert shown <= grouped
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_metric_of_the_service_and_of_the_watch_is_shown() -> None:
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    missing = [
        metric._name for metric in METRICS if isinstance(metric, MetricWrapperBase) and metric._name not in shown
    ]
    assert missing == []


def test_the_dashboard_has_its_rows_and_a_choice_of_data_source() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Traffic", "Latency by stage", "Errors and rejections", "Batches and queue", "Predictions and confidence",
        "Drift", "Deployment",
    ]  # fmt: skip
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    text = json.dumps(DASHBOARD["panels"])
    assert set(re.findall(r"\$\{?([a-z]\w*)", text)) == set(variables)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_grafana_finds_dashboard_and_data_source() -> None:
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    (provider,) = load("grafana/provisioning/dashboards/visionloop.yml")["providers"]
    (source,) = load("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert Path(mounts["./grafana/dashboard.json"]).parent == Path(provider["options"]["path"])
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_is_wrong_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.strip().lower().replace(" ", "-") for heading in headings}


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    assert set(re.findall(r"^### (Visionloop\w+)$", DOCS, re.MULTILINE)) == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    rule = ALERTS[name]
    cases = [case for test in ALERT_TESTS["tests"] for case in test["alert_rule_test"] if case["alertname"] == name]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}
    for expected in (alert for case in cases for alert in case["exp_alerts"]):
        labels = expected["exp_labels"]
        assert rule["labels"].items() <= labels.items()
        assert expected["exp_annotations"] == {
            key: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match, labels=labels: labels[match[1]], text)
            for key, text in rule["annotations"].items()
        }


def test_alert_tests_feed_series_as_the_service_writes_them() -> None:
    assert ALERT_TESTS["rule_files"] == ["alerts.yml"]
    for test in ALERT_TESTS["tests"]:
        assert {case["alertname"] for case in test["alert_rule_test"]} <= ALERTS.keys()
        for series in test["input_series"]:
            match = re.fullmatch(r"(\w+)\{(.*)\}", series["series"])
            assert match is not None
            assert set(re.findall(r"(\w+)=", match[2])) == SERIES[match[1]]
            for item in series["values"].split():
                assert re.fullmatch(r"_(x\d+)?|\d+(\.\d+)?([+-]\d+(\.\d+)?)?(x\d+)?", item), item


# -- Azure Machine Learning


@dataclass
class FakeRequest:
    """As much of Azure's AMLRequest as is used."""

    body: bytes
    headers: dict[str, str]
    query_string: bytes = b""
    method: str = "POST"

    def get_data(self, cache: bool = True) -> bytes:
        return self.body


@dataclass
class FakeResponse:
    """Azure's AMLResponse."""

    message: bytes
    status_code: int
    response_headers: dict[str, str]

    @property
    def document(self) -> Any:
        return json.loads(self.message)


def load_score() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", DEPLOY / "azureml/score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = load_score()
    for name in ("azureml", "azureml.contrib", "azureml.contrib.services"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    response = ModuleType("azureml.contrib.services.aml_response")
    response.AMLResponse = FakeResponse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, response.__name__, response)
    monkeypatch.delenv(PARAMS_VARIABLE, raising=False)
    yield module
    module.close()


def mount(folder: Path, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A model as Azure mounts it: below a folder of its own."""
    for task, bundle in bundles.items():
        lineup = Lineup(champion=variant(bundle))
        deployment.change(folder / "model/deployment.json", task, lambda _, lineup=lineup: lineup)  # type: ignore[misc]
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(folder))


@pytest.fixture
def scoring(
    score: ModuleType,
    tmp_path: Path,
    bundles: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> ModuleType:
    mount(tmp_path / "azure", bundles, monkeypatch)
    score.init()
    return score


def test_azure_answers_as_the_service_does(scoring: ModuleType, service: Service) -> None:
    query, headers = b"top_k=2&threshold=0", {"Content-Type": "image/png", "X-Request-Id": "abc"}
    found: FakeResponse = scoring.run(FakeRequest(encoded(), headers, query))
    expected = service.client.post(f"/v1/predict?{query.decode()}", content=encoded(), headers=headers).json()
    assert found.status_code == 200
    assert found.response_headers == {"Content-Type": "application/json"}
    assert sorted(found.document["results"]) == ["classification", "detection"]
    assert _stable(found.document) == _stable(expected)


def test_azure_takes_a_form_with_several_images(scoring: ModuleType) -> None:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + encoded(seed=seed) + b"\r\n"
        for seed in range(2)
    ]
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    found: FakeResponse = scoring.run(FakeRequest(b"".join(parts) + b"--b--\r\n", headers))
    assert [len(answer["predictions"]) for answer in found.document["results"].values()] == [2, 2]


@pytest.mark.parametrize(
    ("body", "content_type", "method", "status", "code"),
    [
        (b"no image", "image/png", "POST", 415, "image_unsupported_format"),
        (b"", "image/png", "POST", 400, "empty_body"),
        (b"{}", "application/json", "POST", 415, "unsupported_media_type"),
        (b"", "image/png", "GET", 405, "method_not_allowed"),
    ],
)
def test_azure_refuses_as_the_service_does(
    scoring: ModuleType, body: bytes, content_type: str, method: str, status: int, code: str
) -> None:
    found: FakeResponse = scoring.run(FakeRequest(body, {"content-type": content_type}, method=method))
    assert (found.status_code, found.document["code"]) == (status, code)
    assert found.response_headers["Content-Type"] == "application/problem+json"


def test_azure_does_not_start_without_a_pointer(
    score: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    with pytest.raises(BundleError, match="no deployment pointers"):
        score.init()


def test_azure_does_not_start_with_a_bundle_that_is_gone(
    score: ModuleType,
    tmp_path: Path,
    bundles: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mount(tmp_path / "azure", bundles, monkeypatch)
    gone = variant(bundles["detection"]).model_copy(update={"bundle": "nowhere"})
    deployment.change(tmp_path / "azure/model/deployment.json", "detection", lambda _: Lineup(champion=gone))
    with pytest.raises(BundleError, match=r"detection\.champion"):
        score.init()


def test_azure_calls_the_entry_script_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[Any] = []
    for name in ("azureml", "azureml.contrib", "azureml.contrib.services"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    request = ModuleType("azureml.contrib.services.aml_request")
    request.rawhttp = lambda function: marked.append(function) or function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, request.__name__, request)
    module = load_score()
    assert marked == [module.run]


def test_azure_files_name_each_other() -> None:
    found, endpoint = load("azureml/deployment.yml"), load("azureml/endpoint.yml")
    assert found["endpoint_name"] == endpoint["name"]
    assert (DEPLOY / "azureml" / found["code_configuration"]["scoring_script"]).is_file()
    assert (DEPLOY / "azureml" / found["environment"]["conda_file"]).is_file()
    for path in (found["model"]["path"], found["code_configuration"]["code"]):
        assert path.removeprefix("../../") in DOCS


def test_azures_environment_has_the_project_s_own_lower_bounds() -> None:
    pip = load("azureml/conda.yml")["dependencies"][-1]["pip"]
    project = (ROOT / "pyproject.toml").read_text()
    own = [item for item in pip if not fnmatch(item, "a*inference*") and not item.startswith("anyio")]
    assert [item for item in own if f'"{item}"' not in project] == []


def _stable(document: Any) -> Any:
    """An answer without what differs from request to request."""
    if isinstance(document, dict):
        return {key: _stable(value) for key, value in document.items() if key not in ("id", "timings_ms")}
    return [_stable(item) for item in document] if isinstance(document, list) else document
