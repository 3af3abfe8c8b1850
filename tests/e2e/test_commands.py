"""Each command of the command line does what it says with a service that runs, and says so as JSON, too."""

import asyncio
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner, Result

from hairtrigger import cli
from tests.e2e.process import Service
from tests.support.servers import Server, answering, serving
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

APP = cli.whole()


def commands(group: TyperGroup, path: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """Yield every command by its name, such as `triggers list`."""
    for name, inside in group.commands.items():
        if isinstance(inside, TyperGroup):
            yield from commands(inside, f"{path}{name} ")
        else:
            assert isinstance(inside, TyperCommand)
            yield f"{path}{name}", inside


TESTS: Mapping[str, str] = {
    **{
        f"{group} list": "test_everything_is_listed_and_shown"
        for group in ("projects", "connections", "providers", "keys", "triggers", "events", "deliveries", "replays")
    },
    **{
        f"{group} get": "test_everything_is_listed_and_shown"
        for group in ("projects", "connections", "providers", "triggers", "events", "deliveries", "replays")
    },
    "projects create": "test_a_project_with_a_trigger_is_made_used_and_deleted",
    "projects delete": "test_a_project_with_a_trigger_is_made_used_and_deleted",
    "triggers create": "test_a_project_with_a_trigger_is_made_used_and_deleted",
    "triggers secret": "test_a_project_with_a_trigger_is_made_used_and_deleted",
    "triggers enable": "test_a_project_with_a_trigger_is_made_used_and_deleted",
    "triggers disable": "test_a_project_with_a_trigger_is_made_used_and_deleted",
    "triggers delete": "test_a_project_with_a_trigger_is_made_used_and_deleted",
    "triggers poll": "test_a_feed_is_polled_and_tested",
    "triggers test": "test_a_feed_is_polled_and_tested",
    "triggers tokens": "test_a_token_that_a_sender_told_is_shown",
    "connections delete": "test_a_connection_and_a_key_are_deleted",
    "keys delete": "test_a_connection_and_a_key_are_deleted",
    "events tail": "test_events_are_watched_and_explained",
    "events replay": "test_events_are_watched_and_explained",
    "explain": "test_events_are_watched_and_explained",
    "status": "test_events_are_watched_and_explained",
    "deliveries retry": "test_a_delivery_is_retried_or_cancelled",
    "deliveries cancel": "test_a_delivery_is_retried_or_cancelled",
    "replays create": "test_many_events_are_replayed_after_a_preview",
    "replays cancel": "test_many_events_are_replayed_after_a_preview",
    "user list": "test_users_and_organisations",
    "user add": "test_users_and_organisations",
    "user password": "test_users_and_organisations",
    "user delete": "test_users_and_organisations",
    "organization list": "test_users_and_organisations",
    "organization delete": "test_users_and_organisations",
    "config show": "test_settings_and_keys",
    "vault create": "test_settings_and_keys",
    "vault rotate": "test_settings_and_keys",
    "database migrate": "test_the_database_is_looked_after",
    "database rebuild-queue": "test_the_database_is_looked_after",
    **{
        f"alert-channels {action}": "test_alerts_are_set_up_tried_and_shown"
        for action in ("create", "list", "get", "test", "delete")
    },
    "operational-events list": "test_a_trigger_that_the_service_disables_is_told",
    "operational-events get": "test_a_trigger_that_the_service_disables_is_told",
    **{f"providers {action}": "test_a_provider_is_begun_and_held_to_the_rules" for action in ("new", "check")},
    "serve": "every test, which needs a service",
}


def test_every_command_has_a_test_and_prints_json() -> None:
    program = typer.main.get_command(APP)
    assert isinstance(program, TyperGroup)
    every = dict(commands(program))
    assert sorted(every) == sorted(TESTS)
    assert [name for name, test in TESTS.items() if name != "serve" and not _runs(test, name)] == []
    without = [name for name, one in every.items() if not any("--json" in option.opts for option in one.params)]
    assert without == ["serve"]
    assert [name for name, one in every.items() if not one.help] == []


def _runs(test: str, name: str) -> bool:
    """Return whether the source of the test, or of what it begins with, holds the words of the command."""
    if test == test_everything_is_listed_and_shown.__name__:
        return True  # it runs whatever is listed above
    source = inspect.getsource(globals()[test]) + inspect.getsource(Line.webhook)
    return ", ".join(f'"{word}"' for word in name.split()) in source


@dataclass(frozen=True)
class Line:
    """The command line, for a service whose data lie in a folder."""

    folder: Path
    service: Service
    target: Server

    async def run(self, *arguments: str, code: int = 0, given: str | None = None) -> Result:
        environment = {"HAIRTRIGGER_DATA_DIR": str(self.folder / "data")}
        result = await asyncio.to_thread(CliRunner().invoke, APP, arguments, input=given, env=environment)
        assert result.exit_code == code, f"{arguments}: {result.exit_code} {result.output} {result.exception!r}"
        return result

    async def says(self, *arguments: str, given: str | None = None) -> Any:
        """Return what the command prints as JSON."""
        return json.loads((await self.run(*arguments, "--json", given=given)).stdout)

    async def webhook(self) -> tuple[str, str, str]:
        """Make and enable a trigger for requests; return the ids of its project and itself, and its secret."""
        project = (await self.says("projects", "create", "Project", "--target", self.target.url))["id"]
        trigger = (await self.says("triggers", "create", project, "webhook", "on_request"))["project_trigger_id"]
        secret = (await self.says("triggers", "secret", trigger))["secret"]
        (await self.says("triggers", "enable", trigger))
        return project, trigger, secret

    async def send(self, trigger: str, secret: str, body: Any = None) -> str:
        async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            url = f"{self.service.url}/v1/webhooks/{trigger}"
            sent = await client.post(url, json=body or {}, headers={"x-webhook-secret": secret})
        assert sent.status_code == 200, sent.text
        return str(sent.json()["events"][0])

    async def ends(self, delivery: str, status: str) -> None:
        async def has_ended() -> bool:
            return bool((await self.says("deliveries", "get", delivery))["status"] == status)

        await until(has_ended)


@pytest.fixture(scope="module")
async def started() -> AsyncIterator[tuple[Path, Service]]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        service = Service(folder, {"HAIRTRIGGER_EGRESS_ALLOW": "127.0.0.0/8"})
        await service.start()
        yield folder, service
        await service.stop()


@pytest.fixture
async def line(started: tuple[Path, Service]) -> AsyncIterator[Line]:
    async with serving(answering()) as target:
        yield Line(*started, target)


async def test_everything_is_listed_and_shown(line: Line) -> None:
    _, trigger, secret = await line.webhook()
    event = await line.send(trigger, secret)
    await line.ends(event, "delivered")
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        client.headers["authorization"] = f"Bearer {line.service.api_key}"
        body = {"provider_id": "rss", "secrets": {}}
        assert (await client.post(f"{line.service.url}/v1/connections", json=body)).status_code == 201
    (await line.says("replays", "create", "--where", f"project_trigger_id={trigger}", "--all", "--yes"))
    for name in (name for name, test in TESTS.items() if name.endswith(" list") and test.startswith("test_everything")):
        group = name.split()[0]
        found = await line.says(group, "list", "--limit", "5")
        assert found, name
        assert found[0]["id"] in (await line.run(group, "list", "--limit", "5")).stdout
        if f"{group} get" in TESTS:
            assert (await line.says(group, "get", found[0]["id"]))["id"] == found[0]["id"]
            assert found[0]["id"] in (await line.run(group, "get", found[0]["id"])).stdout
    assert [one["id"] for one in (await line.says("events", "list", "--where", f"project_trigger_id={trigger}"))] == [
        event
    ]


async def test_a_project_with_a_trigger_is_made_used_and_deleted(line: Line) -> None:
    project, trigger, secret = await line.webhook()
    await line.send(trigger, secret)
    (await line.run("triggers", "secret", trigger, "--stdin", given="a secret of mine\n"))
    await line.send(trigger, "a secret of mine")
    assert (await line.says("triggers", "disable", trigger))["status"] == "DISABLED"
    (await line.run("triggers", "enable", trigger))
    other = (await line.says("triggers", "create", project, "webhook", "on_request"))["project_trigger_id"]
    (await line.run("triggers", "delete", other, code=1, given="n\n"))
    assert (await line.says("triggers", "delete", other, "--yes"))["id"] == other
    asked = await line.run("projects", "delete", project, code=1, given="n\n")
    assert "1 projects, 1 triggers, 1 enabled triggers" in asked.stderr
    assert (await line.says("projects", "get", project))["id"] == project
    assert (await line.says("projects", "delete", project, "--yes"))["deletes"]["events"] == 2
    (await line.run("projects", "get", project, code=1))


async def test_a_feed_is_polled_and_tested(line: Line) -> None:
    feed = b"<rss version='2.0'><channel><item><guid>1</guid><title>First</title></item></channel></rss>"
    async with serving(answering(200, feed, ("content-type", "application/rss+xml"))) as site:
        project = (await line.says("projects", "create", "Project", "--target", line.target.url))["id"]
        config = json.dumps({"url": f"{site.url}/feed"})
        made = await line.says("triggers", "create", project, "rss", "on_item_published", "--config", config)
        trigger = made["project_trigger_id"]
        assert "First" in json.dumps((await line.says("triggers", "test", trigger))["samples"])
        (await line.run("triggers", "enable", trigger))
        assert (await line.says("triggers", "poll", trigger))["code"] in ("empty", "duplicate")
        assert "code: " in (await line.run("triggers", "poll", trigger)).stdout
        (await line.run("triggers", "disable", trigger))


async def test_a_token_that_a_sender_told_is_shown(line: Line) -> None:
    project = (await line.says("projects", "create", "Project", "--target", line.target.url))["id"]
    config = json.dumps({"sender": "notion"})
    made = await line.says("triggers", "create", project, "webhook", "on_request", "--config", config)
    trigger = made["project_trigger_id"]
    assert "told this trigger a token" in (await line.run("triggers", "tokens", trigger)).stdout
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        url = f"{line.service.url}/v1/webhooks/{trigger}"
        assert (await client.post(url, json={"verification_token": "secret_4711"})).status_code == 200
    hint = re.search(r"hairtrigger (triggers tokens \S+)", (await line.run("explain", trigger)).stdout)
    assert hint
    assert "secret_4711" in (await line.run(*hint[1].split())).stdout
    assert (await line.says("triggers", "tokens", trigger))["data"][0]["token"] == "secret_4711"


async def test_a_connection_and_a_key_are_deleted(line: Line) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        client.headers["authorization"] = f"Bearer {line.service.api_key}"
        made = await client.post(f"{line.service.url}/v1/connections", json={"provider_id": "rss", "secrets": {}})
        key = await client.post(f"{line.service.url}/v1/api-keys", json={"name": "Key", "scopes": ["TRIGGER_API"]})
    connection, key_id = made.json()["id"], key.json()["id"]
    assert (await line.says("connections", "delete", connection, "--yes"))["id"] == connection
    (await line.run("connections", "get", connection, code=1))
    assert (await line.run("keys", "delete", key_id, "--yes")).stdout == f"The key {key_id} is deleted.\n"
    assert key_id not in [one["id"] for one in (await line.says("keys", "list"))]


async def test_events_are_watched_and_explained(line: Line) -> None:
    _, trigger, secret = await line.webhook()
    event = await line.send(trigger, secret)
    await line.ends(event, "delivered")
    assert (
        f"delivered  webhook.on_request                  {event}"
        in (await line.run("events", "tail", "--no-follow")).stdout
    )
    told = (await line.run("events", "tail", "--no-follow", "--json")).stdout.splitlines()
    assert event in [json.loads(one)["id"] for one in told]
    again = (await line.says("events", "replay", event))["delivery_id"]
    await line.ends(again, "delivered")
    assert f"'{event}'" not in (await line.run("explain", trigger)).stdout
    assert (await line.says("explain", trigger, "--event", event))["steps"]
    assert "It was replayed once" in (await line.run("explain", trigger, "--event", event)).stdout
    assert "New events are taken." in (await line.run("status")).stdout
    assert (await line.says("status"))["health"]["takes_events"] is True


async def test_a_delivery_is_retried_or_cancelled(line: Line) -> None:
    async with serving(answering(500)) as broken:
        project = (await line.says("projects", "create", "Broken", "--target", broken.url))["id"]
        trigger = (await line.says("triggers", "create", project, "webhook", "on_request"))["project_trigger_id"]
        secret = (await line.says("triggers", "secret", trigger))["secret"]
        (await line.run("triggers", "enable", trigger))
        event = await line.send(trigger, secret)
        await line.ends(event, "retrying")
        assert (await line.says("deliveries", "retry", event))["id"] == event

        async def again() -> bool:
            return bool((await line.says("deliveries", "get", event))["attempts"] == 2)

        await until(again)
        await line.ends(event, "retrying")
        assert "status: dead" in (await line.run("deliveries", "cancel", event)).stdout
        assert (await line.says("deliveries", "cancel", event))["status"] == "dead"
        assert "dead letter" in (await line.run("deliveries", "retry", event, code=1)).stderr


async def test_many_events_are_replayed_after_a_preview(line: Line) -> None:
    _, trigger, secret = await line.webhook()
    for number in range(2):
        await line.ends(await line.send(trigger, secret, {"n": number}), "delivered")
    where = ("--where", f"project_trigger_id={trigger}")
    (await line.run("replays", "create", code=1))
    asked = await line.run("replays", "create", *where, "--all", code=1, given="n\n")
    assert "2 events would be delivered again." in asked.stderr
    said = (await line.run("replays", "create", *where, "--all", "--json", given="y\n")).stdout
    begun = json.loads(said[said.index("{") :])  # the answer to the question is shown before
    assert begun["total"] == 2

    async def replayed() -> bool:
        return bool((await line.says("replays", "get", begun["id"]))["status"] == "done")

    await until(replayed)
    assert len(await line.says("deliveries", "list", *where)) == 4
    assert "has ended" in (await line.run("replays", "cancel", begun["id"], code=1)).stderr
    slow = (await line.says("replays", "create", *where, "--all", "--per-second", "1", "--yes"))["id"]
    ended = await line.run("replays", "cancel", slow, "--json")
    assert json.loads(ended.stdout)["status"] in ("cancelled", "done")
    assert "is no filter of replays" in (await line.run("replays", "create", "--where", "colour=red", code=1)).stderr


async def test_users_and_organisations(line: Line) -> None:
    made = await line.says("user", "add", "a@example.com", "--new-organization", "Guests")
    assert (made["organization"], made["operator"], len(made["password"]) > 10) == ("Guests", False, True)
    (
        await line.run(
            "user", "add", "b@example.com", "--organization", "Guests", "--password-stdin", given="correct horse 1\n"
        )
    )
    assert {"a@example.com", "b@example.com"} <= {one["email"] for one in (await line.says("user", "list"))}
    assert "a new password" in (await line.run("user", "password", "a@example.com")).stdout
    assert (await line.says("user", "password", "a@example.com", "--password-stdin", given="correct horse 2\n"))[
        "password"
    ] is None
    assert "can't log in any more" in (await line.run("user", "delete", "a@example.com")).stdout
    assert "only user of the organisation" in (await line.run("user", "delete", "b@example.com", code=1)).stderr
    assert "There is no user" in (await line.run("user", "delete", "a@example.com", code=1)).stderr
    assert (
        "operates the service" in (await line.run("organization", "delete", "My organisation", "--yes", code=1)).stderr
    )
    asked = await line.run("organization", "delete", "Guests", code=1, given="n\n")
    assert "'Guests' has 1 users." in asked.stderr
    assert (await line.says("organization", "delete", "Guests", "--yes"))["deletes"]["users"] == 1
    listed = {one["name"]: one["deleted_since"] for one in (await line.says("organization", "list"))}
    assert listed["My organisation"] is None
    assert listed["Guests"]
    assert "b@example.com" not in (await line.run("user", "list")).stdout
    assert "There is no organisation 'Nobody'" in (await line.run("organization", "delete", "Nobody", code=1)).stderr


async def test_settings_and_keys(line: Line, tmp_path: Path) -> None:
    assert (await line.says("config", "show"))["data_dir"] == str(line.folder / "data")
    assert "HAIRTRIGGER_DATA_DIR=" in (await line.run("config", "show")).stdout
    file = tmp_path / "keys.json"
    assert (await line.says("vault", "create", str(file))) == {"file": str(file)}
    before = file.read_text()
    assert (await line.says("vault", "rotate", str(file))) == {"file": str(file)}
    assert file.read_text() != before
    assert "exists" in (await line.run("vault", "create", str(file), code=1)).stderr
    assert "no key file" in (await line.run("vault", "rotate", str(tmp_path / "none"), code=1)).stderr


async def test_the_database_is_looked_after(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAIRTRIGGER_DATABASE_URL", database_url.replace("/hairtrigger?", "/postgres?"))
    for command, answer in (
        (("database", "migrate"), {"migrated": True}),
        (("database", "rebuild-queue"), {"carried_over": 0, "sent_again": 0}),
    ):
        result = await asyncio.to_thread(CliRunner().invoke, APP, (*command, "--json"))
        assert (result.exit_code, json.loads(result.stdout)) == (0, answer)
    monkeypatch.delenv("HAIRTRIGGER_DATABASE_URL")
    refused = CliRunner().invoke(APP, ("database", "migrate"))
    assert (refused.exit_code, "Set HAIRTRIGGER_DATABASE_URL" in refused.stderr) == (1, True)


def test_a_refusal_ends_with_1_and_a_wrong_command_with_2() -> None:
    nowhere = {"HAIRTRIGGER_DATA_DIR": "/nowhere"}
    for arguments, code in (
        (("projects", "list"), 1),
        (("projects", "list", "--url", "http://127.0.0.1:1", "--api-key", "x"), 1),
        (("projects", "get", "../keys", "--url", "http://127.0.0.1:1", "--api-key", "x"), 1),
        (("projects", "lst"), 2),
        (("projects", "list", "--limit", "0"), 2),
        (("triggers", "enable"), 2),
    ):
        result = CliRunner().invoke(APP, arguments, env=nowhere)
        assert (result.exit_code, result.stdout) == (code, ""), arguments
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("variable", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_where_nobody_wants_them(variable: Mapping[str, str], coloured: bool) -> None:
    """The command's output is a terminal, which the other end of a pseudo-terminal reads."""
    ours, theirs = os.openpty()
    environment = {"PATH": os.environ["PATH"], "HAIRTRIGGER_DATA_DIR": "/nowhere", "TERM": "xterm", **variable}
    subprocess.run(
        [sys.executable, "-m", "hairtrigger", "projects", "list"],
        env=environment,
        stderr=theirs,
        stdout=theirs,
        check=False,
    )
    os.close(theirs)
    said = os.read(ours, 10_000)
    os.close(ours)
    assert b"No service has run" in said
    assert (b"\x1b[31m" in said) is coloured


@pytest.mark.parametrize(
    ("words", "number", "wanted"),
    [
        ("hairtrigger tri", 1, "triggers"),
        ("hairtrigger triggers en", 2, "enable"),
        ("hairtrigger projects delete --y", 3, "--yes"),
    ],
)
def test_words_are_completed(words: str, number: int, wanted: str) -> None:
    script = Path(sys.executable).with_name("hairtrigger")
    environment = {
        "PATH": os.environ["PATH"],
        "_HAIRTRIGGER_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(number),
    }
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert wanted in done.stdout.split(), done.stderr


async def test_alerts_are_set_up_tried_and_shown(line: Line) -> None:
    made = await line.says("alert-channels", "create", "Chat", "slack", "--webhook", line.target.url)
    assert [one["id"] for one in await line.says("alert-channels", "list")] == [made["id"]]
    assert (await line.says("alert-channels", "get", made["id"]))["name"] == "Chat"
    (await line.run("alert-channels", "test", made["id"]))
    assert "test" in json.loads(line.target.seen[0].body)["text"]
    assert (await line.says("alert-channels", "delete", made["id"], "--yes"))["id"] == made["id"]
    assert await line.says("alert-channels", "list") == []


async def test_a_trigger_that_the_service_disables_is_told(line: Line) -> None:
    async with serving(answering(410)) as gone:
        project = (await line.says("projects", "create", "Gone", "--target", gone.url))["id"]
        trigger = (await line.says("triggers", "create", project, "webhook", "on_request"))["project_trigger_id"]
        secret = (await line.says("triggers", "secret", trigger))["secret"]
        (await line.run("triggers", "enable", trigger))
        await line.send(trigger, secret)

        async def told() -> Any:
            where = ("--where", f"project_trigger_id={trigger}", "--where", "type=trigger.disabled")
            return await line.says("operational-events", "list", *where)

        [event] = await until(told)
    assert "410 Gone" in (await line.says("operational-events", "get", event["id"]))["sentence"]


def test_a_provider_is_begun_and_held_to_the_rules(tmp_path: Path) -> None:
    """`tests/conformance/test_commands.py` says more of these two commands, which need no service."""
    made = CliRunner().invoke(APP, ["providers", "new", "acme", "--into", str(tmp_path), "--json"])
    package = tmp_path / "hairtrigger-acme"
    file, tests = package / "hairtrigger_acme.py", package / "tests" / "providers"
    checked = CliRunner().invoke(APP, ["providers", "check", str(file), "--tests", str(tests), "--json"])

    assert (made.exit_code, checked.exit_code) == (0, 0)
    assert json.loads(checked.stdout)["providers"][0]["broken"] == []
