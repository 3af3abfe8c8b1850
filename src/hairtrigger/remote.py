"""Defines the commands that ask a service, either the one with this data directory or any other by its address."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hairtrigger import hints
from hairtrigger.credentials import Credentials
from hairtrigger.settings import Settings

if TYPE_CHECKING:
    import httpx2

Url = Annotated[
    str | None, typer.Option("--url", envvar="HAIRTRIGGER_URL", help="The address of a service on another machine.")
]
ApiKey = Annotated[str | None, typer.Option("--api-key", envvar="HAIRTRIGGER_API_KEY", help="An API key of it.")]
Demo = Annotated[bool, typer.Option("--demo", help="Use the demo's own data, apart from the real.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]
_Where = Annotated[
    list[str] | None, typer.Option("--where", metavar="NAME=VALUE", help="Only these. May be given several times.")
]
_Id = Annotated[str, typer.Argument(metavar="ID", help="Its id.")]
_PAGE = 200


@dataclass(frozen=True)
class Resource:
    """A kind of thing that the API lists, with a group of commands of its own."""

    name: str  # as a command, in the plural
    path: str
    about: str
    columns: tuple[str, ...]  # of a list; a dot leads into an object
    filters: tuple[str, ...] = ()
    paged: bool = True
    single: bool = True  # one can be got by its id


RESOURCES = (
    Resource(
        "projects", "/v1/projects", "What is run.", ("id", "name", "target.kind", "max_inflight", "paused"), paged=False
    ),
    Resource(
        "connections",
        "/v1/connections",
        "Credentials at providers.",
        ("id", "provider_id", "name", "created_at"),
        ("provider_id",),
        paged=False,
    ),
    Resource(
        "providers",
        "/v1/providers",
        "Where events come from, and what a connection needs.",
        ("id", "name", "connection.required", "triggers"),
        paged=False,
    ),
    Resource(
        "keys",
        "/v1/api-keys",
        "API keys.",
        ("id", "name", "prefix", "scopes", "last_used_at", "expires_at"),
        paged=False,
        single=False,
    ),
    Resource(
        "triggers",
        "/v1/project-triggers",
        "The triggers of projects, with their health.",
        ("id", "provider_id", "trigger_id", "project_id", "health.status", "health.reason"),
        ("health",),
    ),
    Resource(
        "events",
        "/v1/events",
        "Look at what happened.",
        ("id", "received_at", "type", "key", "project_trigger_id"),
        ("project_id", "project_trigger_id", "since"),
    ),
    Resource(
        "deliveries",
        "/v1/deliveries",
        "Events on their way to projects.",
        ("id", "created_at", "status", "attempts", "event_type", "detail"),
        ("status", "project_id", "project_trigger_id", "event_id"),
    ),
    Resource(
        "replays",
        "/v1/replays",
        "Events that are delivered again.",
        ("id", "created_at", "status", "replayed", "total"),
    ),
    Resource(
        "operational-events",
        "/v1/operational-events",
        "What the service told of itself.",
        ("id", "at", "type", "sentence"),
        ("type", "project_id", "project_trigger_id", "since"),
    ),
    Resource(
        "alert-channels",
        "/v1/alert-channels",
        "Ways in which people are told.",
        ("id", "name", "kind", "status", "waiting", "detail"),
        paged=False,
    ),
)


@dataclass(frozen=True)
class Action:
    """A command for one thing of a resource, which the user names by its id."""

    name: str
    about: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    columns: Sequence[str] = ()  # of an answer that is a list
    nothing: str = ""  # said if the list is empty


ACTIONS: Mapping[str, Sequence[Action]] = {
    "triggers": (
        Action("enable", "Enable it: register its webhook, or begin to poll.", "POST", "/triggers/{}/enable"),
        Action("disable", "Disable it.", "POST", "/triggers/{}/disable"),
        Action(
            "tokens",
            "Show the tokens that its sender told, such as Notion's verification token.",
            "GET",
            "/v1/project-triggers/{}/tokens",
            columns=("told_at", "token"),
            nothing="No sender has told this trigger a token in the last seven days.",
        ),
        Action("poll", "Poll it now.", "POST", "/v1/project-triggers/{}/poll"),
        Action(
            "test",
            "Show samples of its events. Nothing is started.",
            "GET",
            "/api/v0/project-triggers/{}/test-samples",
        ),
    ),
    "events": (Action("replay", "Deliver one event again.", "POST", "/v1/events/{}/replay"),),
    "deliveries": (
        Action("retry", "Try it again now.", "POST", "/v1/deliveries/{}/retry"),
        Action("cancel", "Try it no more.", "POST", "/v1/deliveries/{}/cancel"),
    ),
    "alert-channels": (Action("test", "Send a test message now.", "POST", "/v1/alert-channels/{}/test"),),
    "replays": (Action("cancel", "Replay no more events of it.", "POST", "/v1/replays/{}/cancel"),),
}
_DELETED = ("projects", "triggers", "connections", "keys", "alert-channels")
"""The resources that have a command to delete one thing."""
_REPLAYED = ("status", "project_id", "project_trigger_id", "event_type", "since", "until")


@dataclass(frozen=True)
class Server:
    """A service at an address, and an API key for it."""

    url: str
    api_key: str = field(repr=False)

    def ask(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """Return the answer to a request as JSON values. If there is no answer, or if the request is refused, end the
        program with a sentence that says why.
        """
        import httpx2  # noqa: PLC0415 it takes a fifth of a second, and --help need not wait

        headers = {"Authorization": f"Bearer {self.api_key}"}
        try:
            with httpx2.Client(base_url=f"{self.url}/", headers=headers, trust_env=False, timeout=90) as http:
                answer = http.request(method, path.lstrip("/"), params=dict(query or {}), json=body)
        except httpx2.ConnectError:
            fail(f"No service answers at {self.url}. Start it:  {hints.command('serve')}")
        except (httpx2.InvalidURL, ValueError, TypeError) as error:
            fail(f"'{self.url}' is no address of a service: {error}")
        except httpx2.HTTPError as error:
            fail(f"The service can't be asked: {error}")
        found = _read(answer)
        if not answer.is_success:
            fail(f"The service refused: {_refusal(found) or answer.reason_phrase}")
        return found

    def listed(self, resource: Resource, query: Mapping[str, Any], limit: int) -> list[Any]:
        found: list[Any] = []
        cursor: str | None = None
        while True:
            more = {"limit": min(_PAGE, limit - len(found)), "cursor": cursor} if resource.paged else {}
            given = {name: value for name, value in {**query, **more}.items() if value is not None}
            page = self.ask("GET", resource.path, query=given)
            found += page["data"]
            cursor = page.get("next_cursor")
            if not cursor or len(found) >= limit:
                return found[:limit]


def connect(url: str | None, api_key: str | None, *, demo: bool, settings: Callable[[], Settings]) -> Server:
    """Return the service at the address `url`, or the service that runs with this data directory if there is no `url`.

    The program ends with a sentence if an address is given without an API key, or if no service has run with the data
    directory yet.
    """
    if url and not api_key:
        fail("A service at another address needs an API key of it: --api-key, or the variable HAIRTRIGGER_API_KEY.")
    if not (url and api_key):
        known = Credentials.load(settings().data_dir)
        if not known:
            start = hints.command("serve", demo=demo)
            fail(
                f"No service has run with the data directory {settings().data_dir} yet. Start one:  {start}\n"
                "For a service on another machine, give --url and --api-key."
            )
        url, api_key = url or known.url, api_key or known.api_key
    return Server(url.rstrip("/"), api_key)


def groups(settings: Callable[..., Settings]) -> Iterator[tuple[str, typer.Typer]]:
    """Yield the name of each resource with the group of its commands."""

    def server(url: str | None, api_key: str | None, *, demo: bool) -> Server:
        return connect(url, api_key, demo=demo, settings=lambda: settings(demo=demo))

    for resource in RESOURCES:
        group = typer.Typer(no_args_is_help=True, help=resource.about)
        _add_list(group, resource, server)
        if resource.single:
            _add_get(group, resource, server)
        if resource.name == "projects":
            _add_project_create(group, server)
        if resource.name == "triggers":
            _add_trigger_create(group, server)
            _add_secret(group, server)
        if resource.name == "replays":
            _add_replay_create(group, server, resource)
        if resource.name == "alert-channels":
            _add_alert_channel_create(group, server)
        for action in ACTIONS.get(resource.name, ()):
            _add_action(group, server, action)
        if resource.name in _DELETED:
            _add_delete(group, server, resource)
        yield resource.name, group


Connect = Callable[..., Server]


def _add_list(group: typer.Typer, resource: Resource, server: Connect) -> None:
    filters = f" Filters for --where: {', '.join(resource.filters)}." if resource.filters else ""

    @group.command("list", help=f"List {resource.name}.{filters}")
    def list_(
        where: _Where = None,
        limit: _Limit = 50,
        url: Url = None,
        api_key: ApiKey = None,
        demo: Demo = False,
        as_json: Json = False,
    ) -> None:
        found = server(url, api_key, demo=demo).listed(
            resource, _filters(resource.name, resource.filters, where or ()), limit
        )
        if as_json:
            print_json(found)
        else:
            print_table(resource.columns, found)


def _add_get(group: typer.Typer, resource: Resource, server: Connect) -> None:
    @group.command("get", help="Show one, with all that is known of it.")
    def get(id_: _Id, url: Url = None, api_key: ApiKey = None, demo: Demo = False, as_json: Json = False) -> None:
        found = server(url, api_key, demo=demo).ask("GET", f"{resource.path}/{_in_path(id_)}")
        print_json(found) if as_json else _print_fields(found)


def _add_project_create(group: typer.Typer, server: Connect) -> None:
    @group.command("create", help="Make a project that a program behind HTTP runs.")
    def create(
        name: Annotated[str, typer.Argument(help="Its name.")],
        target: Annotated[str, typer.Option(help="The URL that each event is sent to.")],
        url: Url = None,
        api_key: ApiKey = None,
        demo: Demo = False,
        as_json: Json = False,
    ) -> None:
        body = {"name": name, "target": {"kind": "workflow", "url": target}}
        found = server(url, api_key, demo=demo).ask("POST", "/v1/projects", body=body)
        print_json(found) if as_json else _print_fields(found)


def _add_trigger_create(group: typer.Typer, server: Connect) -> None:
    @group.command("create", help="Make a trigger of a project. Enable it afterwards.")
    def create(
        project: Annotated[str, typer.Argument(help="The id of the project.")],
        provider: Annotated[str, typer.Argument(help="The id of a provider: see the command providers list.")],
        trigger: Annotated[str, typer.Argument(help="The id of one of its triggers.")],
        params: Annotated[str, typer.Option("--config", help="Its configuration, as a JSON object.")] = "{}",
        connection: Annotated[str | None, typer.Option(help="The id of a connection.")] = None,
        url: Url = None,
        api_key: ApiKey = None,
        demo: Demo = False,
        as_json: Json = False,
    ) -> None:
        try:
            given = json.loads(params)
        except ValueError as error:
            fail(f"The configuration is not JSON: {error}")
        body = {
            "provider_id": provider,
            "trigger_id": trigger,
            "trigger_config_params": given,
            "connection_id": connection,
        }
        found = server(url, api_key, demo=demo).ask("POST", f"/projects/{_in_path(project)}/triggers", body=body)
        print_json(found) if as_json else _print_fields(found)


def _add_secret(group: typer.Typer, server: Connect) -> None:
    @group.command("secret", help="Set its signing secret. A new one is made and shown, once, unless one is given.")
    def secret(
        id_: _Id,
        stdin: Annotated[bool, typer.Option("--stdin", help="Read the secret from standard input.")] = False,
        url: Url = None,
        api_key: ApiKey = None,
        demo: Demo = False,
        as_json: Json = False,
    ) -> None:
        body = {"secret": sys.stdin.read().strip()} if stdin else {}
        path = f"/v1/project-triggers/{_in_path(id_)}/secret"
        found = server(url, api_key, demo=demo).ask("POST", path, body=body)
        if as_json or not stdin:
            print_json(found) if as_json else _print_fields(found)
        else:
            typer.echo("The secret is set.")


def _add_alert_channel_create(group: typer.Typer, server: Connect) -> None:
    @group.command("create", help="Add a way in which people are told of operational events.")
    def create(
        name: Annotated[str, typer.Argument(help="Its name.")],
        kind: Annotated[str, typer.Argument(help="email, slack, discord or teams.")],
        to: Annotated[list[str] | None, typer.Option(help="An e-mail address. May be given several times.")] = None,
        webhook: Annotated[str | None, typer.Option(help="The address of the chat's incoming webhook.")] = None,
        types: Annotated[
            list[str] | None, typer.Option("--type", help="Only events of this type. May be given several times.")
        ] = None,
        url: Url = None,
        api_key: ApiKey = None,
        demo: Demo = False,
        as_json: Json = False,
    ) -> None:
        body = {"name": name, "kind": kind, "recipients": to or [], "url": webhook, "types": types or []}
        found = server(url, api_key, demo=demo).ask("POST", "/v1/alert-channels", body=body)
        print_json(found) if as_json else _print_fields(found)


def _add_action(group: typer.Typer, server: Connect, action: Action) -> None:
    @group.command(action.name, help=action.about)
    def command(id_: _Id, url: Url = None, api_key: ApiKey = None, demo: Demo = False, as_json: Json = False) -> None:
        path = action.path.format(_in_path(id_))
        found = server(url, api_key, demo=demo).ask(action.method, path, body=action.body)
        if as_json:
            print_json(found)
        elif action.columns:
            print_table(action.columns, found["data"]) if found["data"] else typer.echo(action.nothing)
        else:
            _print_fields(found)


def _add_delete(group: typer.Typer, server: Connect, resource: Resource) -> None:
    one = resource.name.removesuffix("s")

    @group.command("delete", help=f"Delete a {one}." + _ALL_OF_IT * (one == "project"))
    def delete(
        id_: _Id,
        yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
        url: Url = None,
        api_key: ApiKey = None,
        demo: Demo = False,
        as_json: Json = False,
    ) -> None:
        asked = server(url, api_key, demo=demo)
        path, query = f"{resource.path}/{_in_path(id_)}", {}
        if one == "trigger":
            path = f"/triggers/{_in_path(id_)}"
        contents: Mapping[str, Any] = {}
        if one == "project":
            contents, query = asked.ask("GET", f"{path}/deletion"), {"with_enabled_triggers": "true"}
        if not yes:
            has = f"It has {counts(contents)}. " if contents else ""
            typer.confirm(f"{has}Delete the {one} {id_}?", abort=True, err=True)
        asked.ask("DELETE", path, query=query)
        print_json({"id": id_, "deletes": contents}) if as_json else typer.echo(f"The {one} {id_} is deleted.")


_ALL_OF_IT = " First it is said what goes with it: its triggers, events, deliveries and outcomes."


def counts(contents: Mapping[str, Any]) -> str:
    """Return in words how many things of each kind there are, such as "3 triggers, 20 events", or "nothing". None
    counts as very many.
    """
    said = [
        f"{'very many' if count is None else f'{count:,}'} {name.replace('_', ' ')}"
        for name, count in contents.items()
        if count != 0
    ]
    return ", ".join(said) or "nothing"


def _add_replay_create(group: typer.Typer, server: Connect, resource: Resource) -> None:
    @group.command("create")
    def create(
        where: _Where = None,
        every: Annotated[bool, typer.Option("--all", help="Also what was delivered.")] = False,
        per_second: Annotated[int, typer.Option(min=1, max=1000, help="How fast.")] = 10,
        yes: Annotated[bool, typer.Option("--yes", help="Begin without asking.")] = False,
        url: Url = None,
        api_key: ApiKey = None,
        demo: Demo = False,
        as_json: Json = False,
    ) -> None:
        """Deliver many events again. They are dead letters, unless --where says otherwise. Before, show how many they
        are, and ask.

        The names for --where: status, project_id, project_trigger_id, event_type, since, until.
        """
        asked = server(url, api_key, demo=demo)
        body = {**_filters(resource.name, _REPLAYED, where or ()), "all": every, "per_second": per_second}
        total = asked.ask("POST", f"{resource.path}/preview", body=body)["total"]
        count = "Very many events" if total is None else f"{total} events"
        if not yes:
            typer.confirm(f"{count} would be delivered again. Begin?", abort=True, err=True)
        found = asked.ask("POST", resource.path, body=body)
        print_json(found) if as_json else _print_fields(found)


def time_of(text: str) -> str:
    """Return a time from an answer of the API in the form in which the service shows times, in UTC to the second."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def print_json(found: Any) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


def warn(message: str) -> None:
    _say(message, "yellow")


def fail(message: str) -> NoReturn:
    _say(message, "red")
    raise typer.Exit(1)


def _say(message: str, colour: str) -> None:
    """Print a message for people, in a colour unless NO_COLOR is set (https://no-color.org)."""
    typer.secho(message, err=True, fg=colour, color=False if os.environ.get("NO_COLOR") else None)


def _filters(of: str, filters: Sequence[str], where: Sequence[str]) -> dict[str, str]:
    given = {}
    for one in where:
        name, equals, value = one.partition("=")
        if not equals or name not in filters:
            known = ", ".join(filters) or "none"
            fail(f"'{one}' is no filter of {of}, which are given as NAME=VALUE. They are: {known}.")
        given[name] = value
    return given


def _in_path(id_: str) -> str:
    if not id_ or not all(one.isalnum() or one in "-_" for one in id_):
        fail(f"'{id_}' is no id.")
    return id_


def _read(answer: "httpx2.Response") -> Any:
    try:
        return answer.json() if answer.content else {}
    except ValueError:
        fail(f"What answers at {answer.url.host} is not this service: it sends no JSON ({answer.status_code}).")


def _refusal(found: Any) -> str:
    match found:
        case {"detail": str(said)} | {"message": str(said)}:
            return said
        case {"detail": [{"msg": str(said), "loc": [*where]}, *_]}:
            return f"{'.'.join(map(str, where))}: {said}"
        case _:
            return ""


def print_table(columns: Sequence[str], rows: Sequence[Any]) -> None:
    lines = [[name.rpartition(".")[2].upper() for name in columns]]
    lines += [[_shown(_part(row, name)) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_fields(found: Any, indent: str = "") -> None:
    if not isinstance(found, Mapping):
        print_json(found)
        return
    for name, value in found.items():
        if isinstance(value, Mapping) and value:
            typer.echo(f"{indent}{name}:")
            _print_fields(value, f"{indent}  ")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            for one in value:
                typer.echo(f"{indent}{name}:")
                _print_fields(one, f"{indent}  ")
        else:
            typer.echo(f"{indent}{name}: {_shown(value, name)}")


def _part(row: Any, name: str) -> Any:
    for part in name.split("."):
        row = row.get(part) if isinstance(row, Mapping) else None
    return row


def _shown(value: Any, name: str = "") -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str() if name.endswith("_at") or _is_time(value):
            return time_of(value) if _is_time(value) else value
        case list():
            return ", ".join(_shown(_part(one, "id") if isinstance(one, Mapping) else one) for one in value) or "-"
        case _:
            return str(value).replace("\n", " ")


def _is_time(text: str) -> bool:
    try:
        return len(text) > len("2026-01-01T00:00") and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
