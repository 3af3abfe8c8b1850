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
from hairtrigger.domain.outcome import DELIVERY_STATUS, FAILURE, Code
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


def _table(words: Mapping[Any, str]) -> str:
    return "| code | it |\n|---|---|\n" + "".join(f"| `{code}` | {said} |\n" for code, said in words.items())
