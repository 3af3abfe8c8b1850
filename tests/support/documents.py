"""The documents the code describes itself with."""

import json
from typing import Any, cast

from fastapi import FastAPI

from hairtrigger.api.integrations.app import integrations_app
from hairtrigger.api.projects.app import Services as ProjectServices
from hairtrigger.api.projects.app import projects_app
from hairtrigger.api.v1.app import Services as OwnServices
from hairtrigger.api.v1.app import v1_app
from hairtrigger.settings import table

_NONE = cast("Any", None)  # describing an API asks nothing of its services


def projects_document() -> str:
    services = ProjectServices(*(_NONE for _ in ProjectServices.__dataclass_fields__))
    return _openapi(projects_app(services, "http://hairtrigger.test", 1))


def integrations_document() -> str:
    return _openapi(integrations_app(_NONE, _NONE))


def own_document() -> str:
    return _openapi(v1_app(OwnServices(*(_NONE for _ in OwnServices.__dataclass_fields__))))


def settings_document() -> str:
    introduction = "Every one is an environment variable, or a file named by the same variable with `_FILE`."
    return f"# Settings\n\n{introduction}\n\n{table()}"


def _openapi(app: FastAPI) -> str:
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"
