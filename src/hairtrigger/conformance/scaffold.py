"""Write the first files of a new provider: the provider itself, its fake, and a recorded request.

They are a small provider that keeps all rules. What has to be replaced by the facts of the real one is marked TO DO.
"""

import keyword
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

Kind = Literal["webhook", "polling", "app"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TO_DO = "TO DO"

_CATALOGUE = Path("src", "hairtrigger", "providers", "__init__.py")


class NotWritten(Exception):
    """The files can't be written. The message says why."""


def in_repository(folder: Path) -> bool:
    """Return whether the folder is a checkout of hairtrigger itself."""
    return (folder / _CATALOGUE).is_file()


def new(id_: str, kind: Kind, folder: Path) -> list[Path]:
    """Write the files of a new provider, and return their paths.

    In a checkout of hairtrigger, they are a provider file with a line in the catalogue. Elsewhere, they are a package
    of its own. Raise `NotWritten` if the id can't be one, or a file is there already.
    """
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", id_) or keyword.iskeyword(id_):
        raise NotWritten(f"'{id_}' can't be an id. Write it in lower case, such as acme or acme_crm.")
    files = _repository(id_, kind) if in_repository(folder) else _package(id_, kind)
    there = [path for path in files if (folder / path).exists()]
    if there:
        raise NotWritten(f"{', '.join(map(str, there))} exists already. Nothing was written.")
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    if in_repository(folder):
        _into_catalogue(id_, folder / _CATALOGUE)
        return [*files, _CATALOGUE]
    return list(files)


def check_command(id_: str, folder: Path) -> str:
    """Return the command that holds a provider, whose files are in this folder, to the rules."""
    if in_repository(folder):
        return f"hairtrigger providers check {id_}"
    return f"cd {folder / _named(id_)} && hairtrigger providers check hairtrigger_{id_}.py"


def left(*files: Path) -> list[tuple[Path, int, str]]:
    """Return the lines that are still to be done, each with its file and number."""
    return [
        (file, number, line.strip().lstrip("# "))
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if TO_DO in line
    ]


def _repository(id_: str, kind: Kind) -> Mapping[Path, str]:
    tests = Path("tests", "providers", id_)
    return {
        Path("src", "hairtrigger", "providers", f"{id_}.py"): _filled(f"{kind}.py.txt", id_),
        tests / "__init__.py": "",
        **_tests(id_, kind, tests),
    }


def _package(id_: str, kind: Kind) -> Mapping[Path, str]:
    package = Path(_named(id_))
    return {
        package / "pyproject.toml": _filled("pyproject.toml.txt", id_),
        package / f"hairtrigger_{id_}.py": _filled(f"{kind}.py.txt", id_),
        **_tests(id_, kind, package / "tests" / "providers" / id_),
    }


def _named(id_: str) -> str:
    return f"hairtrigger-{id_.replace('_', '-')}"


def _tests(id_: str, kind: Kind, folder: Path) -> dict[Path, str]:
    files = {folder / "fake.py": _filled(f"{kind}_fake.py.txt", id_)}
    if kind != "polling":
        files[folder / "recorded" / "on_order_created.json"] = _filled(f"{kind}_request.json.txt", id_)
    return files


def _filled(template: str, id_: str) -> str:
    text = resources.files("hairtrigger.conformance").joinpath("templates", template).read_text()
    name = id_.replace("_", " ").capitalize()
    return text.replace("{id}", id_).replace("{name}", name).replace("{package}", id_.replace("_", "-"))


def _into_catalogue(id_: str, file: Path) -> None:
    """Add the provider to the catalogue: its name to the import, and a line to the end of the list."""
    text = file.read_text()
    found = re.search(r"from hairtrigger\.providers import (?:\(([^)]*)\)|([^\n]*))\n", text)
    if found is None or not text.rstrip().endswith(")"):
        raise NotWritten(f"{file} is not written as it was expected. Add the provider to it by hand.")
    names = sorted({*re.findall(r"\w+", found[1] or found[2]), id_})
    imports = "".join(f"    {name},\n" for name in names)
    text = text.replace(found[0], f"from hairtrigger.providers import (\n{imports})\n")
    file.write_text(f"{text.rstrip().removesuffix(')')}    {id_}.provider,\n)\n")
