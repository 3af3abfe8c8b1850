"""The alert rules and the dashboard ask for metrics and labels that exist. `./dev poe alert-rules` runs promtool."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hairtrigger.domain.disk import Thresholds
from hairtrigger.domain.outcome import Code
from hairtrigger.platform.metering import Families
from hairtrigger.services.metrics import ROLES, STATES, TROUBLES, WORK
from tests.deploy.metrics_in_use import in_use

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
TESTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts-test.yaml").read_text())["tests"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "hairtrigger.json").read_text())

# The values that a label can have, where they are a closed list.
VALUES: dict[tuple[str, str], set[str]] = {
    ("hairtrigger_requests_total", "outcome"): {*Code},
    ("hairtrigger_polls_total", "outcome"): {*Code},
    ("hairtrigger_deliveries_total", "outcome"): {"delivered", "dead"},
    ("hairtrigger_attempts_total", "status"): {"delivered", "failed", "gone"},
    ("hairtrigger_spans_total", "outcome"): {"sent", "refused", "given_up"},
    ("hairtrigger_shared_deliveries", "state"): set(STATES),
    ("hairtrigger_shared_oldest_due_seconds", "work"): set(WORK),
    ("hairtrigger_shared_triggers", "state"): set(TROUBLES),
    ("hairtrigger_shared_processes", "role"): set(ROLES),
    ("hairtrigger_database_connections", "state"): {"in_use", "idle"},
}


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> dict[str, str]:
    asked = {rule["alert"]: rule["expr"] for rule in RULES}
    for panel in panels():
        asked |= {f"{panel['title']} {one['refId']}": one["expr"] for one in panel.get("targets", [])}
    return asked


def samples() -> dict[str, set[str]]:
    """Return the labels of each sample that /metrics can have."""
    text = generate_latest(Families(in_use().all()).registry()).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize(("name", "expression"), expressions().items(), ids=expressions())
def test_every_metric_label_and_value_that_is_asked_for_exists(name: str, expression: str) -> None:
    known = samples()
    asked = re.findall(r"((?:hairtrigger|process)_\w+)(?:\{([^}]*)\})?", expression)

    assert asked, name
    for metric, selector in asked:
        if metric.startswith("process_"):  # those of the library
            continue
        assert metric in known
        for label, _, values in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', selector):
            assert label in known[metric] | {"instance", "job"}
            if (metric, label) in VALUES:
                assert set(values.split("|")) <= VALUES[metric, label]
    labels = {label for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in group.split(", ")}
    assert labels <= {"instance", "job"} | {label for metric, _ in asked for label in known.get(metric, ())}


def test_every_rule_is_tested_firing_and_says_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    firing = {one["alertname"] for test in TESTS for one in test.get("alert_rule_test", []) if one["exp_alerts"]}

    assert len(names) == len(set(names))
    assert firing == set(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_what_is_the_same_in_every_process_is_never_added_up() -> None:
    for expression in expressions().values():
        assert not re.search(r"(sum|count|avg)[^()]*\(\s*(rate\()?hairtrigger_shared_", expression)


def test_the_rule_about_the_disk_follows_the_setting() -> None:
    [rule] = [rule for rule in RULES if rule["alert"] == "HairtriggerDiskLow"]

    assert rule["expr"].endswith(f"> {Thresholds().low:g}")


def test_the_image_can_send_traces() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    [extra] = re.findall(r"--extra (\w+)", (DEPLOY / "Containerfile").read_text())

    assert "opentelemetry-exporter-otlp-proto-http" in project["optional-dependencies"][extra]


def test_the_dashboard_can_be_imported() -> None:
    ids = [panel["id"] for panel in panels()]

    assert len(ids) == len(set(ids))
    assert DASHBOARD["id"] is None
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}
    for panel in panels():
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["targets"]
