"""Clients that other people's generators make of the three OpenAPI documents run the whole life of a trigger.

The TypeScript clients are compiled strictly, and their errors have types.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hairtrigger.domain.caller import SCOPES
from tests.e2e.process import Client, Service
from tests.support import python_packages
from tests.support.node import NODE, installed
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.anyio

OURS = Path(__file__).parent / "clients"
NAMES = ("triggers", "integrations", "hairtrigger")
PACKAGES = ("openapi-typescript@7.13.0", "@hey-api/openapi-ts@0.99.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
STRICTLY = ("--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--target", "es2022")
AS_COMMONJS = ("--module", "commonjs", "--moduleResolution", "node10", "--esModuleInterop", "--outDir", "out")
PYTHON_PACKAGES = ("openapi-python-client==0.29.1", "httpx==0.28.1", "attrs==26.1.0")
LIFE = [409, "string", "ENABLED", "Named", "DISABLED", 204, 404, "There is no such project trigger."]


@pytest.fixture(scope="module")
async def service(folder: Path) -> AsyncIterator[Service]:
    started = Service(folder / "clients")
    await started.start()
    try:
        yield started
    finally:
        await started.kill()


async def _credentials(service: Service) -> tuple[str, str, str]:
    email, password = service.login
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.post(f"{service.url}/token", data={"username": email, "password": password})
    token = str(answer.json()["access_token"])
    client_of_user = Client(service, token)
    made = await client_of_user.ask("POST", "/v1/api-keys", {"name": "Key", "scopes": list(SCOPES)}, status=201)
    await client_of_user.close()
    return service.url, token, str(made["key"])


def _documents(folder: Path) -> None:
    for name in NAMES:
        shutil.copy(Path(__file__).parents[2] / "docs" / "api" / f"{name}.openapi.json", folder)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """Make a folder in which Node finds the generators, with the documents and our programs."""
    (tmp_path / "node_modules").symlink_to(installed(*PACKAGES) / "node_modules")
    _documents(tmp_path)
    for program in OURS.glob("*.ts"):
        shutil.copy(program, tmp_path)
    return tmp_path


async def test_a_client_of_openapi_typescript_runs_the_life_of_a_trigger(service: Service, modules: Path) -> None:
    for name in NAMES:
        document, types = f"{name}.openapi.json", f"{name}.ts"
        options = ("--default-non-nullable=false", document, "-o", types)
        await _node(modules, "node_modules/openapi-typescript/bin/cli.js", *options)
    assert await _lived(service, modules, "openapi_fetch") == LIFE


async def test_a_client_of_hey_api_runs_the_life_of_a_trigger(service: Service, modules: Path) -> None:
    for name in NAMES:
        options = ("-i", f"{name}.openapi.json", "-o", f"hey-{name}", "-c", "@hey-api/client-fetch")
        await _node(modules, "node_modules/@hey-api/openapi-ts/bin/run.js", *options)
    assert await _lived(service, modules, "hey_api") == LIFE


async def test_a_client_of_openapi_python_client_runs_the_life_of_a_trigger(service: Service, tmp_path: Path) -> None:
    python = await asyncio.to_thread(python_packages.installed, *PYTHON_PACKAGES)
    _documents(tmp_path)
    (tmp_path / "plain.yml").write_text("post_hooks: []")  # the code is not formatted, which takes a third of the time
    for name in NAMES:
        options = ("--path", f"{name}.openapi.json", "--output-path", f"py_{name}", "--meta", "none")
        generate = ("-m", "openapi_python_client", "generate", "--config", "plain.yml")
        await _run(tmp_path, python, *generate, *options)
    shutil.copy(OURS / "python_client", tmp_path)
    said = await _run(tmp_path, python, "python_client", *await _credentials(service))
    assert json.loads(said) == [409, "str", *LIFE[2:]]


async def _lived(service: Service, folder: Path, program: str) -> Any:
    await _node(folder, "node_modules/typescript/bin/tsc", *STRICTLY, *AS_COMMONJS, f"{program}.ts")
    return json.loads(await _node(folder, f"out/{program}.js", *await _credentials(service)))


async def _node(folder: Path, *arguments: str) -> str:
    return await _run(folder, NODE, *arguments)


async def _run(folder: Path, *command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, wrong = await process.communicate()
    assert process.returncode == 0, f"{command}\n{out.decode()}\n{wrong.decode()}"
    return out.decode()
