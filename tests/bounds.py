"""The pools, caches, queues and lists in the source, and the table of their bounds in docs/bounds.md.

`python -m tests.bounds` prints the places that the table does not know, and the rows without a place.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "hairtrigger"
TABLE = ROOT / "docs" / "bounds.md"

# Whatever calls or decorates with one of these makes something that can grow, or starts a thread, a process or a
# connection.
_MAKERS = frozenset(
    {"lru_cache", "cache", "OrderedDict", "deque", "defaultdict", "Counter", "Queue", "LifoQueue", "PriorityQueue"}
    | {"Semaphore", "BoundedSemaphore", "to_thread", "run_sync", "run_in_executor", "Thread", "ThreadPoolExecutor"}
    | {"ProcessPoolExecutor", "create_subprocess_exec", "create_subprocess_shell", "Popen", "check_output", "fork"}
    | {"create_connection", "open_unix_connection", "open_connection", "create_pool", "create_async_engine"}
    | {"Shares", "beyond", "Batcher", "Remembered", "ThreadQueue", "Room", "Turns", "WeakValueDictionary"}
)
_CONTAINERS = frozenset({"dict", "set", "list", "bytearray"})


@dataclass(frozen=True, order=True)
class Place:
    """A place in the source: the module, and in it the attribute, the constant, or the function that makes one."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def places() -> dict[Place, int]:
    """Return the places that the source has, with their lines."""
    found: dict[Place, int] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        module = str(file.relative_to(SOURCE).with_suffix("")).replace("/", ".")
        if ".migrations." in module or module.startswith("conformance."):  # tools of developers, not the service
            continue
        for name, line in in_source(file.read_text()):
            found.setdefault(Place(module, name), line)
    return found


def in_source(source: str) -> Iterator[tuple[str, int]]:
    """Return the names of the places in a source text, each with its line."""
    yield from dict(reversed(list(_in(ast.parse(source), "")))).items()


def _in(node: ast.AST, scope: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef():
                yield from _in(child, _joined(scope, child.name))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                own = _joined(scope, child.name)
                if any(_is_maker(one) for one in child.decorator_list):
                    yield own, child.lineno
                yield from _in(child, own)
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                if name := _kept(target, scope):
                    if _is_empty_container(value) or _has_maker(value):
                        yield name, child.lineno
                elif _has_maker(value):
                    yield scope, child.lineno
            case _:
                if isinstance(child, ast.Call) and _is_maker(child):
                    yield scope or "(module)", child.lineno
                yield from _in(child, scope)


def _kept(target: ast.expr, scope: str) -> str | None:
    """Return the name of what is kept: an attribute of `self`, a field of a class, or a constant of the module."""
    match target:
        case ast.Attribute(value=ast.Name(id="self"), attr=attribute):
            return _joined(scope.rpartition(".")[0], attribute)
        case ast.Name(id=name) if not scope or scope.rpartition(".")[2][:1].lstrip("_").isupper() or _is_class(scope):
            return _joined(scope, name)
        case _:
            return None


def _is_class(scope: str) -> bool:
    return scope.rpartition(".")[2].lstrip("_")[:1].isupper()


def _is_empty_container(value: ast.expr) -> bool:
    """Return whether the value is an empty container, which is filled later."""
    match value:
        case ast.Dict(keys=[]) | ast.List(elts=[]):
            return True
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
            return name in _CONTAINERS
        case ast.Call(func=ast.Name(id="field"), keywords=keywords):
            return any(
                one.arg == "default_factory"
                and isinstance(one.value, ast.Name)
                and one.value.id in _CONTAINERS | _MAKERS
                for one in keywords
            )
        case _:
            return False


def _has_maker(value: ast.expr) -> bool:
    return any(_is_maker(one) for one in ast.walk(value) if isinstance(one, ast.Call))


def _is_maker(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=function):
            return _is_maker(function)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _MAKERS
        case ast.Subscript(value=value):
            return _is_maker(value)
        case _:
            return False


def _joined(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def rows() -> list[list[str]]:
    """Return the rows of the table: the place, what it holds, the two bounds, and the symbol that enforces them."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def known() -> set[str]:
    return {row[0].strip("`") for row in rows()}


def main() -> None:
    found = {str(place): line for place, line in places().items()}
    table = known() if TABLE.exists() else set()
    for place in sorted(set(found) - table):
        print(f"unknown: {place} (line {found[place]})")
    for place in sorted(table - set(found)):
        print(f"without a place: {place}")


if __name__ == "__main__":
    main()
