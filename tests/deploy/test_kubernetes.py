"""The manifests fit each other and the service; no cluster is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from tests.deploy.place import DEPLOY, DOCS, load
from tests.serving.conftest import Service
from visionloop.core.places import PARAMS_VARIABLE, STATE_VARIABLE
from visionloop.core.settings import parse_settings
from visionloop.serving.guard import Guard
from visionloop.serving.settings import ServingSettings

K8S = DEPLOY / "kubernetes"
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
