"""A provider is begun by one command, found by its entry point, and held to the rules by another command."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

from hairtrigger import cli
from hairtrigger.conformance.scaffold import Kind
from hairtrigger.installed_providers import installed
from hairtrigger.providers import CATALOGUE
from tests.golden import ROOT

APP = cli.whole()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(APP, arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder in which commands run, with everything that they change put back afterwards."""
    monkeypatch.chdir(tmp_path)
    before, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def is_installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package on the path with the metadata that an installer writes."""
    name = package.name.replace("-", "_")
    info = package / f"{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: 0.1.0\n")
    points = (package / "pyproject.toml").read_text().partition('"hairtrigger.providers"]\n')[2].partition("\n\n")[0]
    (info / "entry_points.txt").write_text(f"[hairtrigger.providers]\n{points.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(str(package))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_new_package_keeps_the_rules_and_says_what_is_left(folder: Path, kind: str) -> None:
    made = run("providers", "new", "acme", "--kind", kind)

    assert made.exit_code == 0
    package = folder / "hairtrigger-acme"
    assert f"hairtrigger-acme{'/'}hairtrigger_acme.py" in made.stdout
    checked = run(
        *("providers", "check", str(package / "hairtrigger_acme.py"), "--tests", str(package / "tests" / "providers")),
        "--json",
    )
    assert checked.exit_code == 0, checked.output
    found = json.loads(checked.stdout)
    assert (found["providers"][0]["broken"], found["faults"]) == ([], [])
    assert found["to_do"] > 5


def test_an_installed_package_is_found_and_held_to_the_rules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("providers", "new", "acme").exit_code == 0
    package = folder / "hairtrigger-acme"
    is_installed(package, monkeypatch)
    monkeypatch.chdir(package)

    assert [one.id for one in installed(CATALOGUE).providers] == ["acme"]
    assert run("providers", "check").exit_code == 0
    assert run("providers", "check", "hairtrigger-acme").exit_code == 0
    assert run("providers", "check", "hairtrigger-other").exit_code == 1

    file = package / "tests" / "providers" / "acme" / "recorded" / "on_order_created.json"
    file.write_text(file.read_text().replace("evt_1", "evt_2"))
    broken = run("providers", "check", "hairtrigger-acme")
    assert broken.exit_code == 1
    assert "becomes_its_events" in broken.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('no')", "can't be loaded: RuntimeError: no"),
        ("raise SystemExit(1)", "can't be loaded: SystemExit: 1"),
        ("provider = 7", "is no provider"),
        ("from hairtrigger.providers.slack import provider", "its id 'slack' is that of a provider of the service"),
    ],
)
def test_a_package_that_can_t_be_used_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    assert run("providers", "new", "acme").exit_code == 0
    package = folder / "hairtrigger-acme"
    (package / "hairtrigger_acme.py").write_text(text)
    is_installed(package, monkeypatch)

    found = installed(CATALOGUE)

    assert found.providers == ()
    assert [said in fault for fault in found.faults] == [True]


def test_a_new_native_provider_is_in_the_catalogue(folder: Path) -> None:
    for name in ("src/hairtrigger/providers", "tests/providers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "recorded"))

    made = run("providers", "new", "acme")

    assert made.exit_code == 0
    listed = (
        "import hairtrigger.providers as them, sys\n"
        f"them.__path__[:] = [{str(folder / 'src/hairtrigger/providers')!r}]\n"
        f"exec(open({str(folder / 'src/hairtrigger/providers/__init__.py')!r}).read())\n"
        "print(*(one.id for one in CATALOGUE))\n"
    )
    done = subprocess.run([sys.executable, "-c", listed], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [*(one.id for one in CATALOGUE), "acme"]
    assert run("providers", "new", "acme").exit_code == 1


@pytest.mark.parametrize("id_", ["Acme", "9lives", "a-b", "class", "", "../x"])
def test_an_id_that_can_t_be_one_is_refused(folder: Path, id_: str) -> None:
    refused = run("providers", "new", id_)

    assert refused.exit_code == 1
    assert list(folder.iterdir()) == []


def test_a_kind_that_is_none_is_refused(folder: Path) -> None:
    refused = run("providers", "new", "acme", "--kind", "pigeon")

    assert refused.exit_code == 1
    assert "webhook, polling, app" in refused.stderr
