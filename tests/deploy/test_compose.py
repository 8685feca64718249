"""Compose's services, files, volumes, networks and secrets fit each other; nothing is started."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.place import DEPLOY, load
from visionloop.core.places import PARAMS_VARIABLE

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
