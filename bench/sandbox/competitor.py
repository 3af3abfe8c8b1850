"""Run polls in another engine, each in a fresh context: the program `competitor.py ENGINE DENO_FOLDER`.

It runs in an environment that has the engines and none of our packages. It takes orders as lines of JSON and answers
each with the cost of its polls and with the values that they returned. `contenders.py` judges these values.
"""

import asyncio
import importlib
import importlib.metadata
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., Any]

_FOLDER = Path(__file__).parent
_DENO_OPTIONS = ("run", "--quiet", "--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote")


class Host:
    """The host that answers the fetches of one order's polls."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.job = json.dumps(order["job"])
        self.environment = order["environment"]
        self.head = order["head"]
        self.body = order["body"].encode()
        self.requests: list[Any] = []

    def asked(self, request: Any) -> None:
        if request not in self.requests:
            self.requests.append(request)


def mini_racer(host: Host) -> Any:
    """Run a poll in V8, in this process. Inside a running event loop V8's calls need no thread, which is fastest."""
    with _package("py_mini_racer").mini_racer(asyncio.get_running_loop()) as context:
        context.eval(_SHIM)
        return _driven(host, context.eval, _nothing)


def quickjs_ng(host: Host) -> Any:
    """Run a poll in the C engine, in this process, with a runtime of its own for each context."""
    return _quickjs(host, _SHIM)


def quickjs_ng_with_ours(host: Host) -> Any:
    return _quickjs(host, host.environment)


def _quickjs(host: Host, environment: str) -> Any:
    context = _package("quickjs").Context()
    context.eval(environment)

    def run_jobs() -> None:
        while context.execute_pending_job():
            pass

    return _driven(host, context.eval, run_jobs)


def deno(host: Host) -> Any:
    with subprocess.Popen(_DENO, env=_DENO_ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{host.job}\n".encode())
        process.stdin.flush()
        while "fetch" in (message := json.loads(process.stdout.readline())):
            host.asked(message["request"])
            head = {**json.loads(host.head), "length": len(host.body)}
            process.stdin.write(json.dumps(head).encode() + b"\n" + host.body)
            process.stdin.flush()
    return message["events"]


def _driven(host: Host, found: Call, run_jobs: Call) -> Any:
    """Run a poll to its end. `found` returns a function that the shim has defined."""
    take, respond = found("take"), found("respond")
    found("start")(host.job)
    while True:
        run_jobs()
        message = json.loads(take())
        if "fetch" not in message:
            return message.get("events", message)
        host.asked(message["request"])
        respond(message["fetch"], host.head, host.body.decode())


def _nothing() -> None:
    """Do nothing, because V8 runs its jobs itself."""


def _package(name: str) -> Any:
    return importlib.import_module(name)


ENGINES = {
    "mini-racer": mini_racer,
    "deno": deno,
    "quickjs-ng": quickjs_ng,
    "quickjs-ng, our environment": quickjs_ng_with_ours,
}
_SHIM = (_FOLDER / "shim.js").read_text()
_DENO = [str(Path(sys.executable).with_name("deno")), *_DENO_OPTIONS, str(_FOLDER / "deno.mjs")]
_DENO_ENVIRONMENT = {"DENO_DIR": sys.argv[2] if len(sys.argv) > 2 else "", "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}


def _performed(run: Call, order: dict[str, Any]) -> dict[str, Any]:
    host = Host(order)
    returned: list[Any] = []
    own, children = time.process_time(), _children()
    for _ in range(order["polls"]):
        try:
            events = run(host)
        except Exception as error:  # noqa: BLE001 - the error counts as what the poll returned
            events = repr(error)
        if events not in returned:
            returned.append(events)
    own, children = time.process_time() - own, _children() - children
    return {"own": own, "children": children, "returned": returned, "requests": host.requests}


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _serve(engine: str) -> None:
    """Serve orders. Nothing here waits, but mini-racer needs a running event loop."""
    print(json.dumps({"version": importlib.metadata.version(engine.partition(",")[0])}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_performed(ENGINES[engine], json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
