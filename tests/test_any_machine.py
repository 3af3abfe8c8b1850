"""The imitated machines are there: the worker's program and the tests' processes are changed as they should be."""

import os
from pathlib import Path

import pytest

from hairtrigger.sandbox.service import spawn
from tests import any_machine
from tests.support.speed import SPEED, VARIABLE, scaled

_ALL_CORES = "len(os.sched_getaffinity(0))" if hasattr(os, "sched_getaffinity") else "1"
_CHECKS = {
    "fast": f"os.environ['{VARIABLE}'] == '4'",
    "slow": f"float(os.environ['{VARIABLE}']) < 0.34",
    "busy": f"'{VARIABLE}' not in os.environ and {_ALL_CORES} == 1",
}


@pytest.mark.skipif(SPEED != 1, reason="the program is scaled already")
def test_the_program_of_a_worker_is_scaled() -> None:
    changed = scaled(spawn.PROGRAM, 4)

    assert "cpu * 4" in changed
    compile(changed, "worker", "exec")


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return arguments for tests in a folder of their own, which are found quickly."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return ["-c", str(tmp_path / "pytest.ini"), str(tmp_path / "test_machine.py")]


@pytest.mark.skipif(SPEED != 1, reason="the machine is imitated already")
@pytest.mark.parametrize("machine", any_machine.MACHINES)
def test_tests_run_on_each_machine(machine: str, arguments: list[str]) -> None:
    Path(arguments[-1]).write_text(f"import os\ndef test_it():\n    assert {_CHECKS[machine]}\n")

    assert any_machine.main([machine, *arguments]) == 0


@pytest.mark.parametrize("program", ["def test_it():\n    assert ''\n", "def test_it(:\n", None])
def test_a_failure_is_one_of_the_machine(program: str | None, arguments: list[str]) -> None:
    if program:
        Path(arguments[-1]).write_text(program)

    assert any_machine.main(["fast", *arguments]) == 1
