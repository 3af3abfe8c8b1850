"""The commands for authors of providers: they write the first files of one, and hold providers to the rules."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hairtrigger import remote
from hairtrigger.remote import Json, fail

if TYPE_CHECKING:
    from hairtrigger.kit.trigger import Provider


def new_provider(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Its id, in lower case, such as acme or acme_crm.")],
    kind: Annotated[str, typer.Option(help="How events come: webhook, polling or app.")] = "webhook",
    into: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write the first files of a new provider: the provider, a fake of it, and a recorded request.

    In a checkout of hairtrigger, the provider becomes a native one. In any other folder, it becomes a package.
    """
    from hairtrigger.conformance import scaffold  # noqa: PLC0415 it takes a second to import, and --help need not wait

    chosen = next((one for one in scaffold.KINDS if one == kind), None)
    if chosen is None:
        fail(f"There is no kind '{kind}'. Choose one of: {', '.join(scaffold.KINDS)}.")
    try:
        written = scaffold.new(id_, chosen, into)
    except scaffold.NotWritten as error:
        fail(str(error))
    to_do = scaffold.left(*(into / file for file in written if file.suffix == ".py"))
    if as_json:
        remote.print_json({"files": [str(file) for file in written], "to_do": len(to_do)})
        return
    for file in written:
        typer.echo(str(file))
    typer.echo(f"{len(to_do)} lines are marked {scaffold.TO_DO}. Hold the provider to the rules at any time:")
    typer.echo(f"  {scaffold.check_command(id_, into)}")


def check_providers(
    which: Annotated[
        str | None,
        typer.Argument(help="An installed package, a file, or the id of a native provider. Default: all packages."),
    ] = None,
    tests: Annotated[Path, typer.Option(help="The folder with a folder for each provider.")] = Path(
        "tests", "providers"
    ),
    as_json: Json = False,
) -> None:
    """Hold providers to the rules of the catalogue, each with its fake in `tests/providers/<id>/fake.py`."""
    from hairtrigger.conformance import checking, scaffold  # noqa: PLC0415

    providers, faults = _chosen(which)
    results = asyncio.run(checking.results(providers, tests))
    broken = [*faults, *(fault for one in results for fault in one.broken)]
    to_do = scaffold.left(*(file for one in results for file in one.files))
    if as_json:
        rows = [{"provider": one.provider, "rules": one.rules, "broken": list(one.broken)} for one in results]
        remote.print_json({"providers": rows, "faults": list(faults), "to_do": len(to_do)})
    else:
        for file, number, line in to_do:
            typer.echo(f"{file}:{number}: {line}")
        for fault in broken:
            typer.echo(fault)
        for one in results:
            typer.echo(f"{one.provider}: {one.rules - len(one.broken)} of {one.rules} rules hold.")
    if broken or not results:
        fail(f"{len(broken)} faults." if broken else "No provider was found.")


def _chosen(which: str | None) -> "tuple[Sequence[Provider], Sequence[str]]":
    """Return the providers that an argument names, and a sentence for each that can't be used."""
    from hairtrigger.conformance import checking  # noqa: PLC0415
    from hairtrigger.installed_providers import GROUP, installed  # noqa: PLC0415
    from hairtrigger.providers import CATALOGUE  # noqa: PLC0415

    native = [provider for provider in CATALOGUE if provider.id == which]
    if native:
        return native, ()
    if which and which.endswith(".py"):
        try:
            return [checking.provider_in(Path(which))], ()
        except checking.NotFound as error:
            fail(str(error))
    own = installed(CATALOGUE, which)
    if which and not own.providers and not own.faults:
        fail(f"'{which}' is no native provider, and no installed package with an entry point in the group {GROUP}.")
    return own.providers, own.faults
