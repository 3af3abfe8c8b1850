"""Hold providers to the rules, each with the fake that is found in a folder of its name."""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hairtrigger.conformance.subjects import subject
from hairtrigger.conformance.suite import cases
from hairtrigger.kit.trigger import Provider


class NotFound(Exception):
    """A file is missing, or holds no provider. The message says which."""


@dataclass(frozen=True)
class Result:
    """The number of rules that were tried on a provider, and a sentence for each that does not hold."""

    provider: str
    rules: int
    broken: Sequence[str]
    files: Sequence[Path]  # of the provider and its fake


async def results(providers: Sequence[Provider], tests: Path) -> list[Result]:
    """Try all rules on these providers. The fake of each is `<id>/fake.py` in the folder `tests`."""
    return [await _result(provider, tests / provider.id / "fake.py") for provider in providers]


def provider_in(file: Path) -> Provider:
    """Return the provider that a file ends with. Raise `NotFound` if there is none."""
    found = getattr(_module(file, file.stem), "provider", None)
    if not isinstance(found, Provider):
        raise NotFound(f"{file} does not define a `provider`.")
    return found


async def _result(provider: Provider, fake: Path) -> Result:
    module = _fake(provider, fake)
    broken, count = [], 0
    for case in cases(subject(provider, module)):
        count += 1
        try:
            await case.run()
        except Exception as error:  # noqa: BLE001 what a provider file or a fake raises is told like a broken rule
            broken.append(f"{case.id}: {str(error) or type(error).__name__}")
    files = [Path(one.__file__) for one in _modules_of(provider) if one.__file__]
    return Result(provider.id, count, broken, [*files, *([fake] if module else [])])


def _fake(provider: Provider, file: Path) -> ModuleType | None:
    return _module(file, f"fake_of_{provider.id}") if file.is_file() else None


def _modules_of(provider: Provider) -> list[ModuleType]:
    return [one for one in list(sys.modules.values()) if getattr(one, "provider", None) is provider][:1]


def _module(file: Path, name: str) -> ModuleType:
    """Return a file's module. It may import modules beside it, and of the folder in which the command runs."""
    if not file.is_file():
        raise NotFound(f"There is no file {file}.")
    for folder in (str(file.parent.resolve()), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise NotFound(f"{file} can't be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
