"""Every row of the list of cases is held by tests that exist, or is left for a reason."""

import ast
from functools import cache
from pathlib import Path

from tests.cases import LEFT, ROWS, TESTS

ROOT = Path(__file__).parent.parent


def test_every_row_is_held_by_tests_or_left_for_a_reason() -> None:
    assert sorted((*TESTS, *LEFT)) == sorted(ROWS)
    assert [row for row, reason in LEFT.items() if not reason.strip()] == []
    assert [row for row, tests in TESTS.items() if not tests] == []


def test_the_tests_of_every_row_exist() -> None:
    missing = [f"{row}: {test}" for row, tests in TESTS.items() for test in tests if not exists(test)]
    assert missing == []


def exists(test: str) -> bool:
    file, *names = test.partition("[")[0].split("::")
    return tuple(names) in _tests(file)


@cache
def _tests(file: str) -> frozenset[tuple[str, ...]]:
    path = ROOT / file
    return frozenset(_names(ast.parse(path.read_text()))) if path.is_file() else frozenset()


def _names(tree: ast.Module) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append((node.name,))
        elif isinstance(node, ast.ClassDef):
            found += [
                (node.name, one.name) for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
    return [names for names in found if names[-1].startswith("test_")]
