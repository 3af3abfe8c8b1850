"""Providers of installed packages, which are found by their entry points in the group `hairtrigger.providers`.

A package that can't be used is left out, and the reason is told. It never stops the service.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from hairtrigger.kit.trigger import Provider

GROUP = "hairtrigger.providers"


@dataclass(frozen=True)
class Installed:
    """The providers of packages, and a sentence for each entry point that is left out."""

    providers: tuple[Provider, ...]
    faults: tuple[str, ...]


def installed(native: Iterable[Provider], package: str | None = None) -> Installed:
    """Return the providers of all packages, or of one. A provider may not have the id of a native one, or of another
    one.
    """
    taken = {provider.id: "a provider of the service" for provider in native}
    providers: list[Provider] = []
    faults: list[str] = []
    for point in _points(package):
        name = f"{point.name} of the package {_package(point)}"
        try:
            found = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 a package may do anything when it is imported
            faults.append(f"{name} can't be loaded: {type(error).__name__}: {error}")
            continue
        if not isinstance(found, Provider):
            faults.append(f"{name} is no provider: its entry point must name a `kit.Provider`.")
        elif found.id in taken:
            faults.append(f"{name} is left out: its id '{found.id}' is that of {taken[found.id]}.")
        else:
            taken[found.id] = name
            providers.append(found)
    return Installed(tuple(providers), tuple(faults))


def _points(package: str | None) -> Sequence[EntryPoint]:
    """Return the entry points, always in the same order, because the first of two with the same id is taken."""
    found = sorted(entry_points(group=GROUP), key=lambda one: (_package(one), one.name))
    return [one for one in found if package in (None, _package(one))]


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "?"
