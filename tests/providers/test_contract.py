"""Every provider file keeps the rules of `hairtrigger.conformance`, and those of this repository.

The rules are tried on the provider's functions alone. `test_engine.py` tries the same fakes through the service.
"""

import ast
from pathlib import Path

import pytest

from hairtrigger import providers
from hairtrigger.conformance import Case, cases
from hairtrigger.providers import CATALOGUE
from tests.providers.subjects import SUBJECTS

pytestmark = pytest.mark.anyio

FILES = sorted(Path(next(iter(providers.__path__))).glob("*.py"))
CASES = [case for subject in SUBJECTS for case in cases(subject)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id.replace(" ", "-"))
async def test_a_provider_keeps_the_rule(case: Case) -> None:
    await case.run()


def test_providers_are_told_apart_by_their_ids() -> None:
    assert len({provider.id for provider in CATALOGUE}) == len(CATALOGUE)


def test_every_file_is_in_the_catalogue() -> None:
    assert {file.stem for file in FILES} - {"__init__"} == {provider.id for provider in CATALOGUE}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_provider_file_imports_the_kit_and_nothing_else_of_ours(file: Path) -> None:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [f"{node.module}.{one.name}" for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names]
    names += [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    ours = {name for name in names if name.split(".")[0] == "hairtrigger"}

    others = {f"hairtrigger.providers.{one.stem}" for one in FILES} if file.stem == "__init__" else set()
    assert ours <= {"hairtrigger.kit"} | others
