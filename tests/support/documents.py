"""The documents in which the code describes itself."""

import json
from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI

from hairtrigger.api.odeus.app import odeus_app
from hairtrigger.api.stackai.app import Services as ProjectServices
from hairtrigger.api.stackai.app import stackai_app
from hairtrigger.api.v1.app import Services as OwnServices
from hairtrigger.api.v1.app import v1_app
from hairtrigger.domain.operational import Data, OperationalType
from hairtrigger.domain.outcome import DELIVERY_STATUS, FAILURE, Code
from hairtrigger.services.metrics import Metrics
from hairtrigger.settings import table

_NONE = cast("Any", None)  # the description of an API calls none of its services


def projects_document() -> str:
    services = ProjectServices(*(_NONE for _ in ProjectServices.__dataclass_fields__))
    return _openapi(stackai_app(services, "http://hairtrigger.test", 1))


def integrations_document() -> str:
    return _openapi(odeus_app(_NONE, _NONE))


def own_document() -> str:
    return _openapi(v1_app(OwnServices(*(_NONE for _ in OwnServices.__dataclass_fields__))))


def settings_document() -> str:
    introduction = "Every one is an environment variable, or a file named by the same variable with `_FILE`."
    return f"# Settings\n\n{introduction}\n\n{table()}"


def metrics_document() -> str:
    """Return the document with every metric of /metrics."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for one in Metrics().all():
        name = f"{one.name}_total" if one.kind == "counter" else one.name
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{name}` | {one.kind} | {labels} | {one.says} |")
    return f"""# Metrics

`GET /metrics` of every process, with the bearer token of `HAIRTRIGGER_METRICS_TOKEN`, in the text format of Prometheus
or as OpenMetrics. Besides these there are the `process_*` metrics of Prometheus' Python library.
[operating.md](operating.md) says how to read them; `deploy/` has alert rules and a dashboard.

**Labels** hold nothing that users or senders choose. `provider` is the id of a provider that comes with the service,
`user` for all that users define, or `unknown`. `outcome` of requests, polls and firings is a code of
[outcomes.md](outcomes.md), and `failure` is why an attempt failed, from the same page.

**Several processes.** Each process counts its own work, so add them up. Metrics that begin with `hairtrigger_shared_`
are read from the database, at most once in ten seconds, and are the same in every process: take the maximum.

{chr(10).join(lines)}
"""


def _openapi(app: FastAPI) -> str:
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def outcomes_document() -> str:
    """Return the document with every code of the closed lists and its meaning."""
    return f"""# Outcomes

How requests, polls, firings, deliveries and attempts end. These lists are closed: every end is one of them, a code is
never removed, and each can be asked about with `GET /v1/project-triggers/{{id}}/explain`.

## Requests, polls, firings, and what happens to a trigger

The words follow "the request …", "the poll …", "the trigger …". A request that became an event has no outcome beside
it: the event is the record. Very many requests of one kind at one address are counted, and recorded as one.

{_table({code: code.meaning for code in Code})}
## Deliveries

{_table(DELIVERY_STATUS)}
## Attempts that failed

Whether a name was unknown, an address refused or a port closed is told only to the organisation that operates the
service, and in the service's log: a user that chooses a target's URL must not map the service's network by it. Others
read `unreachable`.

{_table(FAILURE)}"""


def operational_events_document() -> str:
    """Return the document with every type of operational events and the JSON Schema of its data."""
    types = "".join(
        f"| [`{one}`](#{one.replace('.', '')}) | {one.severity} | {one.meaning} |\n" for one in OperationalType
    )
    schemas = "".join(
        f"## {one}\n\n{one.meaning}\n\n```json\n{json.dumps(_own_part(one), indent=2)}\n```\n\n"
        for one in OperationalType
    )
    return f"""# Operational events

How people and programs are told: [alerts.md](alerts.md). A type is never removed, and
neither is a field of its data. New types and fields may come. The whole schemas: `GET /v1/operational-event-types`.

| type | severity | when |
|---|---|---|
{types}
Every event has these data, and `details` of its own:

```json
{json.dumps(Data.model_json_schema(mode="serialization"), indent=2)}
```

{schemas.rstrip()}
"""


def _own_part(type_: OperationalType) -> Any:
    return type_.details.model_json_schema(mode="serialization")


def _table(words: Mapping[Any, str]) -> str:
    return "| code | it |\n|---|---|\n" + "".join(f"| `{code}` | {said} |\n" for code, said in words.items())
