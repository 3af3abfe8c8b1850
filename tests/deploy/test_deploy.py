"""The files in `deploy/` agree with the code: names of settings, ports, and times that fit."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hairtrigger.settings import PREFIX, Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "hairtrigger"
UNITS = sorted((DEPLOY / "systemd").iterdir())
FILES = [file for file in DEPLOY.rglob("*") if file.is_file() and "secrets" not in file.parts]
VERSION = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
PORT = str(Settings.model_fields["port"].default)


def rendered() -> list[dict[str, Any]]:
    """Return the chart, rendered with as much of Helm as it uses: values, one loop, and `quote` and `toJson`."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def insert(found: re.Match[str]) -> str:
        path, function = found[1].split("."), found[2]
        value = {"Values": values, "Release": {"Name": "release"}}
        for name in path[1:]:
            value = value[name]
        return json.dumps(value) if function else str(value)

    def repeat(found: re.Match[str]) -> str:
        return "".join(
            found[1].replace("{{ $name }}", name).replace("{{ $value | quote }}", json.dumps(value)).rstrip() + "\n"
            for name, value in values["settings"].items()
        )

    made = []
    for template in sorted((CHART / "templates").iterdir()):
        text = re.sub(
            r" *\{\{- range \$name, \$value := \.Values\.settings \}\}\n(.*?) *\{\{- end \}\}\n",
            repeat,
            template.read_text(),
            flags=re.DOTALL,
        )
        text = re.sub(r"\{\{ ((?:\.\w+)+)( \| (?:quote|toJson))? \}\}", insert, text)
        assert "{{" not in text
        made += list(yaml.safe_load_all(text))
    return made


def deployments() -> list[dict[str, Any]]:
    return [one for one in rendered() if one["kind"] == "Deployment"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_setting_that_is_named_exists(file: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = {
        name if name in known else name.removesuffix("_FILE")
        for name in re.findall(r"HAIRTRIGGER_\w+", file.read_text())
    }
    assert named <= known


@pytest.mark.parametrize("deployment", deployments(), ids=["api", "worker"])
def test_a_pod_may_do_nothing_it_need_not_and_has_the_time_to_drain(deployment: dict[str, Any]) -> None:
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    settings = Settings(
        **{
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if not name.endswith("_FILE")
        }
    )

    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["terminationGracePeriodSeconds"] > settings.unready_seconds + settings.shutdown_seconds
    assert container["args"] == [
        "serve",
        "--role",
        deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"],
    ]
    assert [one["containerPort"] for one in container["ports"]] == [int(PORT)]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    mounted = {one["mountPath"] for one in container["volumeMounts"]}
    assert {"/tmp", "/var/lib/hairtrigger"} <= mounted
    assert {Path(environment[name]).parent for name in environment if name.endswith("_FILE")} <= set(map(Path, mounted))


def test_pods_are_replaced_one_by_one_and_traffic_goes_to_those_that_answer_http() -> None:
    for deployment in deployments():
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budgets = [one["spec"] for one in rendered() if one["kind"] == "PodDisruptionBudget"]
    assert [one["maxUnavailable"] for one in budgets] == [1, 1]
    [service] = [one for one in rendered() if one["kind"] == "Service"]
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "api"


def test_compose_starts_both_roles_on_one_database_with_secrets_from_files() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]

    assert services["api"]["command"] == ["serve", "--role", "api"]
    assert services["worker"]["command"] == ["serve", "--role", "worker"]
    assert services["api"]["ports"] == [f"{PORT}:{PORT}"]
    default = Settings.model_fields["shutdown_seconds"].default
    for name in ("api", "worker"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > default
        for secret in services[name]["secrets"]:
            assert (secret if isinstance(secret, str) else secret["source"]) in compose["secrets"]


def test_all_mean_the_same_image_user_and_port() -> None:
    containerfile = (DEPLOY / "Containerfile").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())

    assert values["image"] == compose["services"]["api"]["image"] == f"hairtrigger:{VERSION}"
    assert f"-t hairtrigger:{VERSION} ." in containerfile
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == VERSION
    assert f"EXPOSE {PORT}" in containerfile
    assert f"HAIRTRIGGER_PORT={PORT}" in containerfile
    assert "USER 10001" in containerfile
    assert {one["spec"]["template"]["spec"]["securityContext"]["runAsUser"] for one in deployments()} == {10001}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_gives_the_service_time_and_stops_only_the_service_itself(unit: Path) -> None:
    text = unit.read_text()
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert stop
    assert int(stop[1]) > Settings.model_fields["shutdown_seconds"].default
    assert "KillMode=mixed" in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name  # a copy whose program exists
    here.write_text(re.sub(r"/opt/hairtrigger/bin/hairtrigger", "/bin/true", unit.read_text()))
    said = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
