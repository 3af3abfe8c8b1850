"""A newcomer's first half hour: the commands of the README and of the service's output, typed as they are printed."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
import pytest

from tests.e2e.process import Client, Service
from tests.support.servers import answering, serving
from tests.support.waiting import PATIENCE, until_true

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not shutil.which("curl"), reason="needs curl, as the README's commands do"),
]

ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        yield folder


def a_service(folder: Path, **settings: str) -> Service:
    return Service(folder, settings, program=("dev", "hairtrigger"))


async def typed(command: str, environment: Mapping[str, str] = {}) -> str:
    """Type a command into a shell in the clone, and return what it prints. It must succeed."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", command),
        env={**_ENVIRONMENT, **environment},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{command}\n{output.decode()}"
    return output.decode()


async def watched(command: str, wanted: str) -> str:
    """Type a command that goes on, and stop it with Ctrl-C when it has printed this. Return all that it printed."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"exec {command}" if "=" not in command.split(maxsplit=1)[0] else f"exec env {command}"),
        env=_ENVIRONMENT,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout
    said = ""
    async with asyncio.timeout(PATIENCE):
        while wanted not in said:
            line = (await process.stdout.readline()).decode()
            assert line, f"{command}\n{said}"
            said += line
    os.killpg(process.pid, signal.SIGINT)
    return said + (await process.stdout.read()).decode()


def printed(service: Service, what: str) -> str:
    """Return the command with these words as the service printed it."""
    found = re.search(rf"  (\S*(?: \S+)*? ?\./dev hairtrigger {what}[^\n]*)", service.output)
    assert found, service.output
    return found[1].strip()


@pytest.mark.parametrize("demo", [False, True])
async def test_every_printed_hint_works_as_it_is_printed(folder: Path, demo: bool) -> None:
    service = a_service(folder)
    await service.start(*(["--demo"] if demo else []))
    data = folder / "data" / "demo" if demo else folder / "data"
    assert f"Data        {data} " in service.output

    assert '"status":"accepted"' in await typed(service.curl)
    said = await watched(printed(service, "events tail"), "delivered")
    assert "Traceback" not in said
    assert " UTC  delivered" in said

    email, lost = service.login
    told = await typed(printed(service, "user password"))
    new = told.rpartition("  ")[2].strip()
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=PATIENCE) as http:
        assert (await http.post("/token", data={"username": email, "password": lost})).is_error
        assert (await http.post("/token", data={"username": email, "password": new})).status_code == 200
        reference = re.search(r"Reference   (\S+)", service.output)
        assert reference
        assert "API reference" in (await http.get(reference[1])).text
    await the_command_line_is_a_client_of_any_server(service)
    await service.stop()

    listed = await typed(
        printed(service, "user password").partition(" user password")[0]
        + " user list --json"
        + (" --demo" if demo else "")
    )
    assert email in listed  # also while the service does not run


async def the_command_line_is_a_client_of_any_server(service: Service) -> None:
    elsewhere = {"HAIRTRIGGER_DATA_DIR": "/nowhere", "HAIRTRIGGER_API_KEY": service.api_key}
    asked = f"./dev hairtrigger {{}} --url {service.url}"
    ids = {}
    for name in ("projects", "triggers", "connections", "providers", "keys", "events", "deliveries", "replays"):
        found = json.loads(await typed(asked.format(f"{name} list --limit 3 --json"), elsewhere))
        assert isinstance(found, list)
        ids[name] = [one["id"] for one in found]
        listed = await typed(asked.format(f"{name} list --limit 200"), elsewhere)  # more may have come meanwhile
        assert all(id_ in listed for id_ in ids[name])
    for name in ("projects", "triggers", "providers", "events", "deliveries"):
        shown = await typed(asked.format(f"{name} get {ids[name][0]} --json"), elsewhere)
        assert f'"{ids[name][0]}"' in json.dumps(json.loads(shown))
    trigger, event = ids["triggers"][0], ids["events"][0]
    assert "The trigger is " in await typed(asked.format(f"explain {trigger}"), elsewhere)
    assert "delivery_id: " in await typed(asked.format(f"events replay {event}"), elsewhere)
    assert (await typed("./dev hairtrigger --version")).startswith("hairtrigger ")


async def test_the_commands_of_the_readme_lead_to_the_first_event_at_a_program_on_this_machine(folder: Path) -> None:
    """The test replaces only the port of the program and the words in capitals, as the README asks for."""
    block = (ROOT / "README.md").read_text().partition("## Start a program of yours")[2].partition("\n## ")[0]
    lines = [line.strip() for line in block.splitlines() if line.startswith("    ")]
    start, *commands = lines
    settings = dict(part.split("=", 1) for part in shlex.split(start) if part.startswith("HAIRTRIGGER_"))
    assert start.endswith("./dev hairtrigger serve")
    service = a_service(folder, **settings)
    await service.start()
    place = {"HAIRTRIGGER_DATA_DIR": str(folder / "data")}
    words: dict[str, str] = {}
    said = ""
    async with serving(answering()) as program:
        for line in commands:
            command = line.replace("http://127.0.0.1:9000", program.url)
            for word, value in words.items():
                command = command.replace(word, value)
            said = await typed(command, place)
            for word, pattern in (
                ("PROJECT", r"^id: (proj_\S+)"),
                ("TRIGGER", r"^project_trigger_id: (\S+)"),
                ("SECRET", r"^secret: (\S+)"),
                ("ADDRESS", r"^webhook_data:\n  url: (\S+)"),
            ):
                if word not in words and (found := re.search(pattern, said, re.MULTILINE)):
                    words[word] = found[1]
        await until_true(lambda: len(program.seen) == 1)
        assert b'"hello"' in program.seen[0].body
    client = Client(service, service.api_key)
    [delivery] = (await client.ask("GET", "/v1/deliveries", params={"event_id": _event_of(said)}))["data"]
    assert delivery["status"] in ("pending", "delivered")
    await client.close()
    await service.stop()


def _event_of(answer: str) -> str:
    found = re.search(r'"events":\["([^"]+)"', answer)
    assert found, answer
    return found[1]
