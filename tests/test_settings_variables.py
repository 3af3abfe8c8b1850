"""A misspelt setting is told by its name, and a setting that cannot be read in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from hairtrigger.settings import unknown_variables


def test_a_misspelt_variable_is_told_with_the_one_that_was_meant() -> None:
    said = unknown_variables({"HAIRTRIGGER_EGRES_ALLOW": "[]", "HAIRTRIGGER_PORT": "1", "PATH": "/bin"})
    assert said == ["There is no setting HAIRTRIGGER_EGRES_ALLOW. Is HAIRTRIGGER_EGRESS_ALLOW meant?"]


def test_files_and_the_options_of_the_command_line_are_known() -> None:
    names = ("HAIRTRIGGER_DATABASE_URL_FILE", "HAIRTRIGGER_URL", "HAIRTRIGGER_API_KEY", "HAIRTRIGGER_DATA_DIR")
    assert unknown_variables(dict.fromkeys(names, "x")) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HAIRTRIGGER_APP_SECRETS", "not json"),
        ("HAIRTRIGGER_PROVIDER_URLS", "{"),
        ("HAIRTRIGGER_PORT", "eighty"),
        ("HAIRTRIGGER_DATABASE_URL_FILE", "/nowhere/at/all"),
    ],
)
def test_a_setting_that_cannot_be_read_is_said_without_a_traceback(name: str, value: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hairtrigger", "config", "show"]
    done = subprocess.run(
        command, env={"HOME": str(tmp_path), name: value}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert name.removesuffix("_FILE") in done.stderr or value in done.stderr
