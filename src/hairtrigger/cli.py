"""Defines the commands of the program, and reads their options."""

import asyncio
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from hairtrigger import hints, remote
from hairtrigger.domain.errors import HairtriggerError, NotFound
from hairtrigger.provider_commands import check_providers, new_provider
from hairtrigger.remote import ApiKey, Demo, Json, Url, fail
from hairtrigger.settings import PREFIX, Settings, table, unknown_variables

if TYPE_CHECKING:
    from hairtrigger.services.accounts import Accounts
    from hairtrigger.store.accounts import Organization
    from hairtrigger.store.upkeep.erasures import Contents

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=f"""Start a workflow or an agent at once when something happens in another app.

    Each event is once in the ledger and is delivered at least once. Repeats are recognisable by their id.

    Start with:  {hints.program()} serve --demo      a service with sample triggers that fire by themselves

    and in another terminal:  {hints.program()} events tail --demo      what they start

    Most commands ask the service that runs with the same data directory. With --url and --api-key, or with the
    variables HAIRTRIGGER_URL and HAIRTRIGGER_API_KEY, they ask any other.
    """,
)
organization = typer.Typer(no_args_is_help=True, help="Organisations, for the operator.")
user = typer.Typer(no_args_is_help=True, help="Users and their passwords, for an operator that cannot log in, too.")
config = typer.Typer(no_args_is_help=True, help="Look at the settings.")
database = typer.Typer(no_args_is_help=True, help="Look after the database.")
vault = typer.Typer(no_args_is_help=True, help="The keys that stored secrets are sealed with.")
app.add_typer(user, name="user")
app.add_typer(organization, name="organization")
app.add_typer(config, name="config")
app.add_typer(vault, name="vault")
app.add_typer(database, name="database")
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
_LEAST_PASSWORD = 12


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"hairtrigger {version('hairtrigger')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=lambda asked: _version(asked=asked), is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Take the options that come before a command."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.")] = None,
    role: Annotated[str | None, typer.Option(help="What this process does: all, api or worker.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="With sample triggers that need no outside network.")] = False,
) -> None:
    """Run the service in one process, with its own PostgreSQL unless HAIRTRIGGER_DATABASE_URL names another.

    Any number of processes may share the PostgreSQL that is named so. Each does all of the work, or has a role.
    """
    from hairtrigger.serving import loop, run  # noqa: PLC0415 it takes a second to import, and --help need not wait

    given = {"host": host, "port": port, "role": role}
    overrides = {name: value for name, value in given.items() if value is not None}
    settings = _settings(demo=demo, **overrides)
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        fail(f"Can't listen on {settings.host}:{settings.port}: {error.strerror}. Choose another with --port.")
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    try:
        with asyncio.Runner(loop_factory=loop()) as runner:
            runner.run(run(settings, listener, demo=demo))
    except HairtriggerError as error:
        fail(error.message)
    except ExceptionGroup as several:
        if several.split(HairtriggerError)[1]:
            raise
        fail(" ".join(error.message for error in _leaves(several)))


@app.command()
def explain(
    trigger: Annotated[str, typer.Argument(help="The id of a project trigger.")],
    at: Annotated[str | None, typer.Option(help="A time, such as 2026-05-04T10:02:00Z.")] = None,
    event: Annotated[str | None, typer.Option(help="The id of an event.")] = None,
    key: Annotated[str | None, typer.Option(help="The key of an event.")] = None,
    delivery: Annotated[str | None, typer.Option(help="The id of a delivery.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    demo: Demo = False,
    as_json: Json = False,
) -> None:
    """Say why something did or did not fire. Without an option, say how healthy the trigger is, and what comes next."""
    question = {"at": at, "event": event, "key": key, "delivery": delivery}
    server = remote.connect(url, api_key, demo=demo, settings=lambda: _settings(demo=demo))
    path = f"/v1/project-triggers/{trigger}/explain"
    told = server.ask("GET", path, query={name: value for name, value in question.items() if value})
    if as_json:
        remote.print_json(told)
        return
    typer.echo(told["summary"])
    for step in told["steps"]:
        time_ = remote.time_of(step["at"])
        typer.echo(f"{time_}  {step['what']:<12}  {step['code']:<19}  {step['detail']}")


@user.command("list")
def list_users(demo: Demo = False, as_json: Json = False) -> None:
    """List the users of all organisations."""
    found = _with_accounts(demo, lambda accounts: accounts.users())
    rows = [
        {
            "email": one.email,
            "organization": organization.name,
            "operator": one.operator,
            "created_at": one.created_at.isoformat(),
        }
        for one, organization in found
    ]
    remote.print_json(rows) if as_json else remote.print_table(
        ("email", "organization", "operator", "created_at"), rows
    )


@user.command("add")
def add_user(
    email: Annotated[str, typer.Argument(help="An e-mail address, with which the user logs in.")],
    organization: Annotated[str | None, typer.Option(help="Its name or id. Default: the only one.")] = None,
    new_organization: Annotated[
        str | None, typer.Option(help="Make an organisation of this name for the user.")
    ] = None,
    operator: Annotated[bool, typer.Option("--operator", help="The user may make and delete organisations.")] = False,
    demo: Demo = False,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Add a user. A password is made and shown, unless one comes on standard input."""
    password = _password(from_stdin=password_stdin)

    async def add(accounts: "Accounts") -> str:
        if new_organization:
            made, _ = await accounts.create_organization(new_organization, email, password, operator=operator)
            return made.name
        chosen = await _chosen(accounts, organization, "Choose one organisation with --organization, or make one.")
        await accounts.add_user(chosen.id, email, password, operator=operator)
        return chosen.name

    name = _with_accounts(demo, add)
    if as_json:
        made = None if password_stdin else password
        remote.print_json({"email": email, "organization": name, "operator": operator, "password": made})
    else:
        typer.echo(f"{email} is a user of '{name}'." + _shown(password, from_stdin=password_stdin))


@user.command("password")
def reset_password(
    email: Annotated[str, typer.Argument(help="The e-mail address of the user.")],
    demo: Demo = False,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Give a user a new password. It is made and shown, unless one comes on standard input."""
    password = _password(from_stdin=password_stdin)
    _with_accounts(demo, lambda accounts: accounts.reset_password(email, password))
    if as_json:
        remote.print_json({"email": email, "password": None if password_stdin else password})
    else:
        typer.echo(f"{email} has a new password." + _shown(password, from_stdin=password_stdin))


@user.command("delete")
def delete_user(
    email: Annotated[str, typer.Argument(help="The e-mail address of the user.")],
    demo: Demo = False,
    as_json: Json = False,
) -> None:
    """Delete a user with the API keys that the user made. What else the user made stays with the organisation."""
    _with_accounts(demo, lambda accounts: accounts.remove_user(email))
    said = f"{email} can't log in any more, and the API keys that this user made are deleted."
    remote.print_json({"email": email}) if as_json else typer.echo(said)


@organization.command("list")
def list_organizations(demo: Demo = False, as_json: Json = False) -> None:
    """List the organisations, with those that are being deleted."""

    async def listed(accounts: "Accounts") -> list[dict[str, Any]]:
        return [
            {
                "id": str(one.id),
                "name": one.name,
                "created_at": one.created_at.isoformat(),
                "deleted_since": begun.requested_at.isoformat() if begun else None,
            }
            for one in await accounts.organizations()
            for begun in [await accounts.deletion(one.id)]
        ]

    rows = _with_accounts(demo, listed)
    remote.print_json(rows) if as_json else remote.print_table(("id", "name", "created_at", "deleted_since"), rows)


@organization.command("delete")
def delete_organization(
    which: Annotated[str, typer.Argument(metavar="NAME", help="The name or id of the organisation.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    demo: Demo = False,
    as_json: Json = False,
) -> None:
    """Delete an organisation with all that is its own. Before, show how much that is, and ask.

    Its users and API keys are gone at once. The service does the rest in the background, also after a restart: it
    removes webhooks at providers, and deletes triggers, connections, events, deliveries and outcomes.
    """

    async def found(accounts: "Accounts") -> "tuple[Organization, Contents]":
        chosen = await _chosen(accounts, which, f"There is no organisation '{which}'.")
        return chosen, await accounts.contents(chosen.id)

    chosen, contents = _with_accounts(demo, found)
    if not yes:
        typer.echo(f"'{chosen.name}' has {remote.counts(vars(contents))}.", err=True)
        typer.confirm("Delete all of it?", abort=True, err=True)
    _with_accounts(
        demo, lambda accounts: accounts.delete_organization(chosen.id, chosen.name, "the operator, by command line")
    )
    if as_json:
        remote.print_json({"id": str(chosen.id), "name": chosen.name, "deletes": vars(contents)})
    else:
        typer.echo(
            f"'{chosen.name}' can't be used any more. What is left of it is deleted in the background while the "
            f"service runs; it is listed until then:  {hints.command('organization list', demo=demo)}"
        )


@app.command()
def status(url: Url = None, api_key: ApiKey = None, demo: Demo = False, as_json: Json = False) -> None:
    """Say whether the service takes new events, how full its disk is, and what is used of the quotas."""
    server = remote.connect(url, api_key, demo=demo, settings=lambda: _settings(demo=demo))
    health, usage = server.ask("GET", "/v1/health"), server.ask("GET", "/v1/usage")
    if as_json:
        remote.print_json({"health": health, "usage": usage["data"]})
    else:
        typer.echo(f"New events are {'taken' if health['takes_events'] else 'refused'}. {health['detail']}")
        for one in usage["data"]:
            if one["used"] is not None:
                typer.echo(f"{one['quota']:<24}{one['used']:>14,} of {one['limit']:>14,}")
    if not health["takes_events"]:
        raise typer.Exit(1)


@database.command()
def migrate(as_json: Json = False) -> None:
    """Bring the schema up to date without starting the service, which does the same at its start."""
    _done(_migrated(_database_url()))
    remote.print_json({"migrated": True}) if as_json else typer.echo("The schema is up to date.")


@database.command("rebuild-queue")
def rebuild_queue(as_json: Json = False) -> None:
    """Install the queue engine anew, from the installed package, and send again every delivery that is found missing.

    Workers may run meanwhile. Deliveries that are under way go on.
    """
    carried, sent = _done(_rebuilt(_database_url()))
    said = f"The queue was rebuilt: {carried} messages carried over, {sent} that were missing sent again."
    remote.print_json({"carried_over": carried, "sent_again": sent}) if as_json else typer.echo(said)


@vault.command()
def create(
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist yet.")], as_json: Json = False
) -> None:
    """Make a key file. Processes that share a database each need a copy of the same file."""
    from hairtrigger.platform.vault import Vault  # noqa: PLC0415

    if file.exists():
        fail(f"{file} exists. A key file is never made over another: what that sealed would be lost.")
    Vault.open(file)
    said = f"{file} was made. Keep a copy apart from the database: without it, stored secrets are lost."
    remote.print_json({"file": str(file)}) if as_json else typer.echo(said)


@vault.command()
def rotate(file: Annotated[Path, typer.Argument(help="The key file of the service.")], as_json: Json = False) -> None:
    """Add a key that seals what is stored from now on. The older keys stay, so that what they sealed still opens.

    No process has to be restarted. A machine that has a copy of the file needs the new one at once, because only the
    new key opens what it seals.
    """
    from hairtrigger.platform.vault import Vault  # noqa: PLC0415

    if not file.exists():
        fail(f"There is no key file at {file}. Make one:  hairtrigger vault create {file}")
    Vault.open(file).rotate()
    said = f"{file} has a new key. Replace every copy of it, also the one that is kept apart from the database."
    remote.print_json({"file": str(file)}) if as_json else typer.echo(said)


def tail(
    url: Url = None,
    api_key: ApiKey = None,
    demo: Demo = False,
    follow: Annotated[bool, typer.Option(help="Go on until interrupted.")] = True,
    count: Annotated[int, typer.Option(min=1, max=200, help="How many deliveries to begin with.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print each as a line of JSON.")] = False,
) -> None:
    """Show deliveries as they happen, with their time, event and status."""
    shown: dict[str, str] = {}
    server = remote.connect(url, api_key, demo=demo, settings=lambda: _settings(demo=demo))
    while True:
        found = server.ask("GET", "/v1/deliveries", query={"limit": 200 if shown else count})
        _print_changes(found["data"], shown, as_json=as_json)
        if not follow:
            return
        time.sleep(0.5)


@config.command()
def show(
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of all settings.")] = False,
    as_json: Json = False,
) -> None:
    """Print the settings in force, with secrets masked, or the table of all settings."""
    if markdown:
        typer.echo(table(), nl=False)
        return
    found = _settings().model_dump(mode="json")
    if as_json:
        remote.print_json(found)
        return
    for name, value in found.items():
        typer.echo(f"{PREFIX}{name.upper()}={value}")


def whole() -> typer.Typer:
    """Add to `app` the groups of commands that ask a service, and return it."""
    for name, group in remote.groups(_settings):
        if name == "events":
            group.command()(tail)
        if name == "providers":
            group.command("new")(new_provider)
            group.command("check")(check_providers)
        app.add_typer(group, name=name)
    return app


def main() -> None:
    try:
        whole()()
    except KeyboardInterrupt:
        sys.exit(130)


def _database_url() -> str:
    settings = _settings()
    url = settings.database_direct_url or settings.database_url
    if not url:
        fail("Set HAIRTRIGGER_DATABASE_URL. The embedded PostgreSQL is looked after by the service itself.")
    return url.get_secret_value()


async def _migrated(url: str) -> None:
    from hairtrigger.store.database import open_store  # noqa: PLC0415

    async with open_store(url, connections=1, patience=None) as store:
        await store.migrate()


async def _rebuilt(url: str) -> tuple[int, int]:
    from hairtrigger.platform.clock import SystemClock  # noqa: PLC0415
    from hairtrigger.platform.wake import Wake  # noqa: PLC0415
    from hairtrigger.services.delivery.lost_deliveries import LostDeliveries  # noqa: PLC0415
    from hairtrigger.store.database import open_store  # noqa: PLC0415
    from hairtrigger.store.delivery import queue_engine  # noqa: PLC0415

    async with open_store(url, connections=2, patience=None) as store:
        async with store.session() as session:
            carried = await queue_engine.rebuild(session)
        return carried, await LostDeliveries(store=store, clock=SystemClock(), work=Wake()).lap()


def _settings(*, demo: bool = False, **overrides: Any) -> Settings:
    for sentence in unknown_variables(os.environ):
        remote.warn(sentence)
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        wrong = "\n".join(f"  {PREFIX}{e['loc'][0]!s}".upper() + f": {e['msg']}" for e in error.errors())
        fail(f"The settings are not valid:\n{wrong}")
    except SettingsError as error:
        name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
        fail(f"The settings are not valid:\n  {PREFIX}{name.upper()}: it is not JSON: {error.__cause__ or error}")
    except OSError as error:
        fail(f"A setting can't be read from its file: {error.filename}: {error.strerror}")
    return _for_demo(settings) if demo else settings


def _for_demo(settings: Settings) -> Settings:
    """Return the settings for the demo, with which the service may call this machine.

    The demo has a data directory of its own, so that a real installation never has this freedom.
    """
    loopback = [ip_network("127.0.0.0/8")]
    return settings.model_copy(
        update={"data_dir": settings.data_dir / "demo", "egress_allow": loopback, "least_polling_seconds": 2}
    )


def _leaves(group: ExceptionGroup[Exception]) -> list[HairtriggerError]:
    return [
        leaf
        for one in group.exceptions
        for leaf in (_leaves(one) if isinstance(one, ExceptionGroup) else [one])
        if isinstance(leaf, HairtriggerError)
    ]


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at this address. Raises `OSError` if it can't.

    The socket is opened before anything else starts, so that a port in use is reported first.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio leaves it off; accepted sockets inherit it
    return listener


def _print_changes(deliveries: list[dict[str, Any]], shown: dict[str, str], *, as_json: bool) -> None:
    for one in reversed(deliveries):
        if shown.get(one["id"]) != one["status"]:
            shown[one["id"]] = one["status"]
            if as_json:
                typer.echo(json.dumps(one, ensure_ascii=False))
                continue
            at = datetime.fromisoformat(one["created_at"]).astimezone(UTC)
            detail = one["detail"] or ""
            typer.echo(f"{at:%H:%M:%S} UTC  {one['status']:<9}  {one['event_type']:<34}  {one['id']}  {detail}")


def _with_accounts(demo: bool, work: Callable[["Accounts"], Awaitable[T]]) -> T:
    """Return the result of work with the accounts in the database, whether the service runs or not.

    A `HairtriggerError` ends the program with the error's message, and so does a missing database.
    """
    from hairtrigger.users import accounts_of  # noqa: PLC0415

    settings = _settings(demo=demo)
    if not settings.database_url and not (settings.data_dir / "postgres" / "cluster").exists():
        fail(f"There is no database in {settings.data_dir} yet. Start one:  {hints.command('serve', demo=demo)}")

    async def done() -> T:
        async with accounts_of(settings) as accounts:
            return await work(accounts)

    return _done(done())


def _done(work: Coroutine[Any, Any, T]) -> T:
    """Run work with the database and return its result. A `HairtriggerError` ends the program with the
    error's message.
    """
    try:
        return asyncio.run(work)
    except HairtriggerError as error:
        fail(error.message)


async def _chosen(accounts: "Accounts", which: str | None, otherwise: str) -> "Organization":
    """Return the organisation with the name or id `which`. If `which` is None, return the only organisation there is.

    Raises `NotFound`, with a message that begins with `otherwise`, if there is not exactly one such organisation.
    """
    every = await accounts.organizations()
    chosen = [one for one in every if which in (None, one.name, str(one.id))]
    if len(chosen) != 1:
        names = ", ".join(f"'{one.name}' ({one.id})" for one in every) or "none yet"
        raise NotFound(f"{otherwise} There are: {names}.")
    return chosen[0]


def _password(*, from_stdin: bool) -> str:
    if not from_stdin:
        return secrets.token_urlsafe(12)
    password = sys.stdin.readline().rstrip("\n")
    if len(password) < _LEAST_PASSWORD:
        fail(f"A password has at least {_LEAST_PASSWORD} characters.")
    return password


def _shown(password: str, *, from_stdin: bool) -> str:
    return "" if from_stdin else f" The password, which is shown once:  {password}"
