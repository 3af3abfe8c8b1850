"""The floor of deliveries: our egress client and a workflow target in a bare loop, without a queue or a database."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from uuid import UUID

import uvloop

from hairtrigger.domain.ids import new_id
from hairtrigger.domain.target import Outgoing, WorkflowTarget
from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.targets.workflow import Workflow

_AT_A_TIME = 64


@dataclass(frozen=True)
class Bare:
    url: str
    body: str
    count: int


def per_second(bare: Bare) -> float:
    command = [sys.executable, "-m", "bench.bare"]
    done = subprocess.run(command, input=json.dumps(asdict(bare)), stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


async def _send(bare: Bare) -> float:
    async with Egress(EgressPolicy((ip_network("127.0.0.0/8"),))) as egress:
        workflow = Workflow(WorkflowTarget(url=bare.url), egress, SystemClock(), [new_signing_secret()])
        body = bare.body.encode()

        async def one_after_the_other() -> None:
            for _ in range(bare.count // _AT_A_TIME):
                sent = await workflow.send(_outgoing(body))
                assert sent.status == "delivered", sent.detail

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_A_TIME):
                tasks.create_task(one_after_the_other())
        return bare.count // _AT_A_TIME * _AT_A_TIME / (time.perf_counter() - begin)


def _outgoing(body: bytes) -> Outgoing:
    now = datetime.now(UTC)
    id_, nobody = new_id(now), UUID(int=0)
    return Outgoing(
        delivery_id=id_,
        event_id=id_,
        attempt=1,
        source=f"/project-triggers/{nobody}",
        type="webhook.on_request",
        subject=None,
        time=now,
        content_type="application/json",
        body=body,
        org_id=nobody,
        project_id="proj_bare",
        project_trigger_id=nobody,
        event_key=str(id_),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(_send(Bare(**json.load(sys.stdin)))))
