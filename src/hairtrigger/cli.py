"""The command line."""

import asyncio
import socket
import sys
import time
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from hairtrigger.credentials import Credentials
from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.settings import PREFIX, Settings, table

if TYPE_CHECKING:
    import httpx2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Start a workflow or an agent at once when something happens in another app.

    Each event is once in the ledger and is delivered at least once. Repeats are recognisable by their id.

    Start with:  hairtrigger serve --demo      a service with sample triggers that fire by themselves

    and in another terminal:  hairtrigger events tail --demo      what they start
    """,
)
events = typer.Typer(no_args_is_help=True, help="Look at what happened.")
config = typer.Typer(no_args_is_help=True, help="Look at the settings.")
database = typer.Typer(no_args_is_help=True, help="Look after the database.")
vault = typer.Typer(no_args_is_help=True, help="The keys that stored secrets are sealed with.")
app.add_typer(events, name="events")
app.add_typer(config, name="config")
app.add_typer(vault, name="vault")
app.add_typer(database, name="database")

Demo = Annotated[bool, typer.Option("--demo", help="Use the demo's own data, apart from the real.")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.")] = None,
    role: Annotated[str | None, typer.Option(help="What this process does: all, api or worker.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="With sample triggers that need no outside network.")] = False,
) -> None:
    """Run the service: one process, with its own PostgreSQL unless HAIRTRIGGER_DATABASE_URL names another.

    Any number of processes may share that other one, each with all of the work or with a role.
    """
    from hairtrigger.serving import loop, run  # noqa: PLC0415 it takes a second to import, and --help need not wait

    given = {"host": host, "port": port, "role": role}
    overrides = {name: value for name, value in given.items() if value is not None}
    settings = _settings(demo=demo, **overrides)
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        _fail(f"Can't listen on {settings.host}:{settings.port}: {error.strerror}. Choose another with --port.")
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    try:
        with asyncio.Runner(loop_factory=loop()) as runner:
            runner.run(run(settings, listener, demo=demo))
    except HairtriggerError as error:
        _fail(error.message)
    except ExceptionGroup as several:
        if several.split(HairtriggerError)[1]:
            raise
        _fail(" ".join(error.message for error in _leaves(several)))


@app.command()
def explain(
    trigger: Annotated[str, typer.Argument(help="The id of a project trigger.")],
    at: Annotated[str | None, typer.Option(help="A time, such as 2026-05-04T10:02:00Z.")] = None,
    event: Annotated[str | None, typer.Option(help="The id of an event.")] = None,
    key: Annotated[str | None, typer.Option(help="The key of an event.")] = None,
    delivery: Annotated[str | None, typer.Option(help="The id of a delivery.")] = None,
    demo: Demo = False,
) -> None:
    """Say why something did or did not fire; without a question, where the trigger stands."""
    question = {"at": at, "event": event, "key": key, "delivery": delivery}
    with _client(demo=demo) as client:
        told = _asked(client, f"/v1/project-triggers/{trigger}/explain", {k: v for k, v in question.items() if v})
    typer.echo(told["summary"])
    for step in told["steps"]:
        at_ = datetime.fromisoformat(step["at"]).astimezone()
        typer.echo(f"{at_:%Y-%m-%d %H:%M:%S}  {step['what']:<12}  {step['code']:<19}  {step['detail']}")


@app.command()
def status(demo: Demo = False) -> None:
    """Say whether the service takes new events, how full its disk is, and what is used of the quotas."""
    with _client(demo=demo) as client:
        health, usage = _asked(client, "/v1/health", {}), _asked(client, "/v1/usage", {})
    typer.echo(f"New events are {'taken' if health['takes_events'] else 'refused'}. {health['detail']}")
    for one in usage["data"]:
        if one["used"] is not None:
            typer.echo(f"{one['quota']:<24}{one['used']:>14,} of {one['limit']:>14,}")
    if not health["takes_events"]:
        raise typer.Exit(1)


@database.command()
def migrate() -> None:
    """Bring the schema up to date without starting the service, which does the same at its start."""
    asyncio.run(_migrated(_database_url()))


@database.command("rebuild-queue")
def rebuild_queue() -> None:
    """Install the queue engine anew, from the installed package, and send again whatever is found missing.

    Workers may go on meanwhile: what is under way stays so.
    """
    carried, sent = asyncio.run(_rebuilt(_database_url()))
    typer.echo(f"The queue was rebuilt: {carried} messages carried over, {sent} that were missing sent again.")


@vault.command()
def create(file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist yet.")]) -> None:
    """Make a key file, for processes that share a database: each needs a copy of the same."""
    from hairtrigger.platform.vault import Vault  # noqa: PLC0415

    if file.exists():
        _fail(f"{file} exists. A key file is never made over another: what that sealed would be lost.")
    Vault.open(file)
    typer.echo(f"{file} was made. Keep a copy apart from the database: without it, stored secrets are lost.")


@vault.command()
def rotate(file: Annotated[Path, typer.Argument(help="The key file of the service.")]) -> None:
    """Add a key that seals what is stored from now on. The older keys stay, so that what they sealed still opens.

    No process has to be restarted. A machine with a copy of the file needs the new one at once: what the new key seals
    opens only with it.
    """
    from hairtrigger.platform.vault import Vault  # noqa: PLC0415

    if not file.exists():
        _fail(f"There is no key file at {file}. Make one:  hairtrigger vault create {file}")
    Vault.open(file).rotate()
    typer.echo(f"{file} has a new key. Replace every copy of it, also the one that is kept apart from the database.")


@events.command()
def tail(
    demo: Demo = False,
    follow: Annotated[bool, typer.Option(help="Go on until interrupted.")] = True,
    count: Annotated[int, typer.Option(min=1, max=200, help="How many deliveries to begin with.")] = 10,
) -> None:
    """Show deliveries as they happen: when they came, from what, and how they ended."""
    shown: dict[str, str] = {}
    with _client(demo=demo) as client:
        while True:
            found = _asked(client, "/v1/deliveries", {"limit": count if not shown else 200})
            _print_changes(found["data"], shown)
            if not follow:
                return
            time.sleep(0.5)


@config.command()
def show(*, markdown: Annotated[bool, typer.Option("--markdown", help="The table of all settings.")] = False) -> None:
    """Print the settings in force, secrets masked; or the table of all there are."""
    if markdown:
        typer.echo(table(), nl=False)
        return
    for name, value in _settings().model_dump(mode="json").items():
        typer.echo(f"{PREFIX}{name.upper()}={value}")


def main() -> None:
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


def _database_url() -> str:
    settings = _settings()
    url = settings.database_direct_url or settings.database_url
    if not url:
        _fail("Set HAIRTRIGGER_DATABASE_URL. The embedded PostgreSQL is looked after by the service itself.")
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
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        wrong = "\n".join(f"  {PREFIX}{e['loc'][0]!s}".upper() + f": {e['msg']}" for e in error.errors())
        _fail(f"The settings are not valid:\n{wrong}")
    return _for_demo(settings) if demo else settings


def _for_demo(settings: Settings) -> Settings:
    """Let the demo reach this machine. It gets data of its own, so that a real installation never has this freedom."""
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
    """Open the socket before anything else starts, so that a port in use is reported first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio leaves it off; accepted sockets inherit it
    return listener


def _client(*, demo: bool) -> "httpx2.Client":
    """Return a client with the credentials of the service that runs with this data directory."""
    credentials = Credentials.load(_settings(demo=demo).data_dir)
    if not credentials:
        _fail("No service has run with this data directory yet. Start one:  hairtrigger serve" + " --demo" * demo)
    import httpx2  # noqa: PLC0415 it takes a fifth of a second, and --help need not wait

    headers = {"Authorization": f"Bearer {credentials.api_key}"}
    return httpx2.Client(base_url=credentials.url, headers=headers, trust_env=False)


def _asked(client: "httpx2.Client", path: str, question: dict[str, Any]) -> dict[str, Any]:
    import httpx2  # noqa: PLC0415

    try:
        answer = client.get(path, params=question)
    except httpx2.ConnectError:
        _fail(f"No service answers at {client.base_url}. Start it:  hairtrigger serve")
    except httpx2.HTTPError as error:
        _fail(f"The service can't be asked: {error}")
    found: dict[str, Any] = answer.json()
    if not answer.is_success:
        _fail(f"The service refused: {found.get('detail', answer.reason_phrase)}")
    return found


def _print_changes(deliveries: list[dict[str, Any]], shown: dict[str, str]) -> None:
    for one in reversed(deliveries):
        if shown.get(one["id"]) != one["status"]:
            shown[one["id"]] = one["status"]
            at = datetime.fromisoformat(one["created_at"]).astimezone()
            detail = one["detail"] or ""
            typer.echo(f"{at:%H:%M:%S}  {one['status']:<9}  {one['event_type']:<34}  {one['id']}  {detail}")


def _fail(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(1)
