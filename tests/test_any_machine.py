"""The imitated machines are there: the worker's program and the tests' processes are changed as they should be."""

import pytest

from hairtrigger.sandbox.service import spawn
from tests import any_machine
from tests.support.speed import SPEED, scaled


@pytest.mark.skipif(SPEED != 1, reason="the program is scaled already")
def test_the_program_of_a_worker_is_scaled() -> None:
    changed = scaled(spawn.PROGRAM, 4)

    assert "cpu * 4" in changed
    compile(changed, "worker", "exec")


@pytest.mark.parametrize("machine", any_machine.MACHINES)
def test_tests_run_on_each_machine(machine: str) -> None:
    assert any_machine.main([machine, "tests/test_reprs.py"]) == 0
    assert any_machine.main([machine, "tests/no_such_file.py"]) == 1
