"""The processes of a benchmark: the service as a user starts it, and programs of this folder."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import asyncpg
import httpx2

from hairtrigger.credentials import Credentials
from hairtrigger.settings import PREFIX

_START = 300  # seconds, with initdb: a net for a busy machine
_STOP = 20  # seconds, with the database
_START_CODE = "from hairtrigger.cli import main; main()"


@dataclass(frozen=True)
class Webhook:
    url: str
    headers: Mapping[str, str]
    """The headers of a request, with the secret."""


@dataclass(frozen=True)
class Service:
    data: Path
    api: httpx2.Client
    process: int
    """The id of the service's own process. The processes of its database are descendants of it."""

    @property
    def database(self) -> dict[str, Any]:
        """Return the arguments for a connection to the service's database."""
        return {"host": str(self.data / "postgres" / "cluster"), "user": "hairtrigger", "database": "hairtrigger"}

    def webhook(self, target: str, max_inflight: int | None = None, **more: Any) -> Webhook:
        """Make a project whose events go to `target`, with one enabled trigger, and return the trigger's webhook."""
        project = self.project({"kind": "workflow", "url": target, **more}, max_inflight)
        body = {"provider_id": "webhook", "trigger_id": "on_request", "trigger_config_params": {}}
        id_ = self.post(f"/projects/{project}/triggers", body)["project_trigger_id"]
        secret = self.post(f"/v1/project-triggers/{id_}/secret", {})["secret"]
        self.post(f"/triggers/{id_}/enable")
        headers = {"X-Webhook-Secret": secret, "Content-Type": "application/json"}
        return Webhook(f"{self.api.base_url}/v1/webhooks/{id_}", headers)

    def project(self, target: Mapping[str, Any] | None = None, max_inflight: int | None = None) -> str:
        """Make a project whose events go to `target`, or are logged, and return its id."""
        ceiling = {} if max_inflight is None else {"max_inflight": max_inflight}
        return str(self.post("/v1/projects", {"name": "Bench", "target": target or {"kind": "log"}, **ceiling})["id"])

    def organisation(self, name: str) -> "Service":
        """Make another organisation, and return the same service as this one sees it."""
        shown = re.search(r"Log in +(\S+) +/ +(\S+)", (self.data.parent / "output.txt").read_text())
        assert shown
        operator = self._token(shown[1], shown[2])
        email, password = f"{uuid4()}@example.com", str(uuid4())
        self._post("/v1/organizations", operator, {"name": name, "email": email, "password": password})
        scopes = ["INTEGRATION_API", "ASSISTANT_API", "TRIGGER_API"]
        key = self._post("/v1/api-keys", self._token(email, password), {"name": name, "scopes": scopes})["key"]
        headers = {"Authorization": f"Bearer {key}"}
        api = httpx2.Client(base_url=self.api.base_url, headers=headers, trust_env=False, timeout=_START)
        return replace(self, api=api)

    def _token(self, email: str, password: str) -> str:
        form = {"grant_type": "password", "username": email, "password": password}
        return str(self.api.post("/token", data=form).raise_for_status().json()["access_token"])

    def _post(self, path: str, token: str, body: Any) -> Any:
        answer = self.api.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
        return answer.raise_for_status().json()

    async def count(self, table: str) -> int:
        """Return how many rows a table has, as the database itself counts them."""
        connection = await asyncpg.connect(**self.database)
        try:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
        finally:
            await connection.close()

    def post(self, path: str, body: Any = None) -> Any:
        """Call the service's API and return what its answer holds."""
        return self.api.post(path, json=body).raise_for_status().json()


@contextmanager
def service(folder: Path, start: str = _START_CODE, python: str = sys.executable, **settings: str) -> Iterator[Service]:
    """Run a new `hairtrigger serve` with a database of its own in `folder`.

    `start` is the code that starts it, and `python` the interpreter, which may be that of another checkout.
    """
    folder.mkdir(mode=0o711)
    data = folder / "data"
    ours = {"DATA_DIR": str(data), "EGRESS_ALLOW": '["127.0.0.0/8"]', "SHUTDOWN_SECONDS": "0", **settings}
    command = [python, "-c", start, "serve", "--port", "0"]
    output = folder / "output.txt"
    with (
        output.open("w") as written,
        _running(command, {PREFIX + name: value for name, value in ours.items()}, written) as process,
    ):
        credentials = _credentials(data, process, output)
        with httpx2.Client(
            base_url=credentials.url,
            headers={"Authorization": f"Bearer {credentials.api_key}"},
            trust_env=False,
            timeout=_START,
        ) as api:
            yield Service(data, api, process.pid)


@contextmanager
def worker(data: Path, database: str, start: str = _START_CODE) -> Iterator[int]:
    """Run `hairtrigger serve` on a database that exists, and yield its process id without waiting for its start."""
    ours = {"DATA_DIR": str(data), "DATABASE_URL": database, "EGRESS_ALLOW": '["127.0.0.0/8"]', "SHUTDOWN_SECONDS": "0"}
    command = [sys.executable, "-c", start, "serve", "--port", "0"]
    with (
        (data / "output.txt").open("a") as written,
        _running(command, {PREFIX + name: value for name, value in ours.items()}, written) as process,
    ):
        yield process.pid
        if process.poll() is not None:
            sys.exit(f"A worker has ended:\n{(data / 'output.txt').read_text()[-3000:]}")


@contextmanager
def program(module: str, **environment: str) -> Iterator[str]:
    """Run a server of this folder and yield its address.

    The server takes over a socket that already listens, so callers need not wait for its start.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        handle = listener.fileno()
        with _running([sys.executable, "-m", module, str(handle)], environment, pass_fds=[handle]):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], output: IO[str] | None = None, pass_fds: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process, without the settings in this process's own environment, and stop it at the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = subprocess.Popen(
        command, env={**inherited, **environment}, stdout=output, stderr=output, pass_fds=pass_fds
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _credentials(data: Path, process: subprocess.Popen[bytes], output: Path) -> Credentials:
    """Wait until the service says that it runs, and return the credentials that its first start saved."""
    patience = time.monotonic() + _START
    while "is running at" not in (said := output.read_text()):
        if process.poll() is not None or time.monotonic() > patience:
            sys.exit(f"The service did not start:\n{said[-3000:]}")
        time.sleep(0.05)
    found = Credentials.load(data)
    assert found
    return found
