"""The table of bounds knows every place in the source that can grow, and no place that does not exist."""

import ast
from importlib import import_module

import pytest

from hairtrigger.settings import Settings
from tests import bounds


def test_every_place_that_can_grow_has_a_row_and_every_row_a_place() -> None:
    found = {str(place) for place in bounds.places()}
    rows = bounds.rows()
    names = [row[0].strip("`") for row in rows]

    assert sorted(found - set(names)) == [], "not in docs/bounds.md"
    assert sorted(set(names) - found) == [], "in docs/bounds.md, but not in the source"
    assert names == sorted(set(names)), "the rows are sorted, and each is there once"
    assert all(len(row) == 5 and all(row) for row in rows)


def test_every_bound_is_enforced_by_code_that_exists() -> None:
    missing = [row[4] for row in bounds.rows() if not _exists(row[4].strip("`"))]

    assert missing == []


def _exists(symbol: str) -> bool:
    module, _, names = symbol.partition(":")
    value: object = import_module(f"hairtrigger.{module}")
    for name in names.split("."):
        if value is Settings and name in Settings.model_fields:
            return True
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("@lru_cache(10)\ndef f(): ...", ["f"]),
        ("@functools.cache\ndef f(): ...", ["f"]),
        ("_cache = {}", ["_cache"]),
        ("_cache: dict[str, int] = {}", ["_cache"]),
        ("_seen = lru_cache(10)(f)", ["_seen"]),
        ("class C:\n def __init__(self):\n  self.x = OrderedDict()", ["C.x"]),
        ("class C:\n def __init__(self):\n  self.x: deque[int] = deque()", ["C.x"]),
        ("class C:\n def __init__(self):\n  self.x = defaultdict(list)", ["C.x"]),
        ("class C:\n def __init__(self):\n  self.x: set[int] = set()", ["C.x"]),
        ("class C:\n def __init__(self):\n  self.x = asyncio.Queue[int]()", ["C.x"]),
        ("class C:\n x: dict[str, int] = field(default_factory=dict)", ["C.x"]),
        ("class C:\n x: Shares = field(default_factory=lambda: Shares.beyond(1))", ["C.x"]),
        ("class C:\n def f(self):\n  self.x.setdefault(1, deque())", ["C.f"]),
        ("async def f():\n await asyncio.to_thread(g)", ["f"]),
        ("async def f():\n await loop.run_in_executor(None, g)", ["f"]),
        ("async def f():\n await asyncio.create_subprocess_exec('x')", ["f"]),
        ("async def f():\n x = await loop.create_connection(g)", ["f"]),
        ("def f():\n Thread(target=g).start()", ["f"]),
        ("def f():\n with asyncio.Semaphore(3): ...", ["f"]),
        ("def f():\n x = {}\n y = [1]\n z = 'deque'", []),
        ("class C:\n def __init__(self, x):\n  self.x = x", []),
    ],
)
def test_the_walk_finds_what_can_grow(source: str, places: list[str]) -> None:
    assert [name for name, _ in bounds.in_source(source)] == places


def test_the_walk_reads_all_modules() -> None:
    assert len(list(bounds.SOURCE.rglob("*.py"))) > 100
    assert ast.parse(next(bounds.SOURCE.rglob("shares.py")).read_text()).body
