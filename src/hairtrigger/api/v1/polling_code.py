"""The routes for authors of polling code: dry runs, and TypeScript declarations of the environment."""

from datetime import datetime, timedelta
from importlib import resources
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.responses import problems
from hairtrigger.api.v1.schemas import Body, Instant, Secret
from hairtrigger.domain.slug import utf16_length
from hairtrigger.sandbox.protocol import poll as sandbox
from hairtrigger.services.polling import dry_run
from hairtrigger.services.polling.dry_run import DryRunRequest, DryRuns

_LONGEST_CODE = 1000  # UTF-16 units, as in a trigger


def _short(code: str) -> str:
    if utf16_length(code) > _LONGEST_CODE:
        raise ValueError(f"Polling code has at most {_LONGEST_CODE} characters.")
    return code


Code = Annotated[str, AfterValidator(_short), Field(max_length=_LONGEST_CODE)]


class DryRun(Body):
    """A dry run of the given code, or of the code of an integration's trigger or of a project trigger. Inputs, secrets,
    a connection and a time that are given replace those of the project trigger.
    """

    code: Code | None = Field(None, description="An API key needs the scope INTEGRATION_API for it.")
    integration_id: UUID | None = None
    integration_trigger_id: UUID | None = Field(None, description="Of that integration.")
    project_trigger_id: UUID | None = Field(
        None, description="Its code, inputs, connection and time are used, and its events are known already."
    )
    inputs: dict[str, Any] | None = Field(None, repr=False)
    secrets: dict[str, Secret] | None = Field(
        None, repr=False, max_length=5000, description="Instead of a connection's."
    )
    connection_id: UUID | None = Field(None, description="One to the code's integration.")
    last_poll_time: Instant | None = Field(
        None, description="Default: the project trigger's last poll, or when it was enabled, or a day ago."
    )

    def request(self) -> DryRunRequest:
        return DryRunRequest(**dict(self))


class FoundEvent(BaseModel):
    """An event that the code returned. `new`: a poll would store it. `stored`: the project trigger has it already.
    `repeated`: an event before it in the run has the same key.
    """

    verdict: Literal["new", "stored", "repeated"]
    key: str
    type: str | None
    occurred_at: datetime
    data: Any


class HttpHeader(BaseModel):
    name: str
    value: str = Field(description="Credentials are hidden.")


class HttpExchange(BaseModel):
    method: str
    url: str = Field(description="Its beginning.")
    request_headers: list[HttpHeader]
    request_body: str = Field(description="Its beginning.")
    request_bytes: int
    milliseconds: float
    status: int | None = Field(description="null: there was no answer.")
    answered_by: str | None = Field(description="The URL after redirects.")
    redirected: bool
    response_headers: list[HttpHeader]
    response_body: str = Field(description="Its beginning.")
    response_bytes: int
    headers_left_out: int = Field(description="Headers of the request and the response that are too many to be shown.")
    error: str | None
    reason: str | None = Field(description="Why there was no answer, for the operator only.")

    @classmethod
    def of(cls, made: dry_run.Exchange) -> "HttpExchange":
        headers = {
            name: [HttpHeader(name=key, value=value) for key, value in getattr(made, name)]
            for name in ("request_headers", "response_headers")
        }
        return cls(**{**vars(made), **headers, "milliseconds": _milliseconds(made.duration)})


class RunError(BaseModel):
    kind: sandbox.PollErrorKind
    name: str
    message: str
    line: int | None = Field(description="Of the code, from 1.")
    column: int | None = Field(description="From 1, in UTF-16 units.")


class RunUsage(BaseModel):
    cpu_milliseconds: float
    wall_milliseconds: float
    memory_bytes: int = Field(description="At the peak.")
    fetches: int
    response_bytes: int

    @classmethod
    def of(cls, usage: sandbox.Usage) -> "RunUsage":
        return cls(
            cpu_milliseconds=_milliseconds(usage.cpu),
            wall_milliseconds=_milliseconds(usage.wall),
            memory_bytes=usage.memory_bytes,
            fetches=usage.fetches,
            response_bytes=usage.response_bytes,
        )


class DryRunReport(BaseModel):
    last_poll_time: datetime
    events: list[FoundEvent]
    error: RunError | None = Field(description="Why there are no events.")
    console: list[str]
    exchanges: list[HttpExchange]
    usage: RunUsage | None = Field(description="null: the sandbox broke, or gave the code up.")
    warnings: list[str] = Field(description="What a poll would do that the author may not expect.")

    @classmethod
    def of(cls, report: dry_run.Report) -> "DryRunReport":
        return cls(
            last_poll_time=report.last_poll_time,
            events=[FoundEvent(**vars(one)) for one in report.events],
            error=RunError.model_validate(report.error, from_attributes=True) if report.error else None,
            console=list(report.console),
            exchanges=[HttpExchange.of(one) for one in report.exchanges],
            usage=RunUsage.of(report.usage) if report.usage else None,
            warnings=list(report.warnings),
        )


class Declarations(Response):
    media_type = "application/typescript"


def router(routes: APIRouter, dry_runs: DryRuns) -> APIRouter:
    @routes.post("/polling-code/dry-run", responses=problems(429))
    async def dry_run_polling_code(body: DryRun, caller: Admitted) -> DryRunReport:
        """Runs polling code as a poll would, and returns all that it did. Nothing is stored and no cursor moves, but
        the requests that the code makes are really sent.
        """
        return DryRunReport.of(await dry_runs.run(caller, body.request()))

    @routes.get(
        "/polling-code/environment.d.ts",
        response_class=Declarations,
        responses={200: {"content": {"application/typescript": {"schema": {"type": "string"}}}}},
    )
    async def get_polling_environment(caller: Admitted) -> Declarations:  # noqa: ARG001
        """Returns TypeScript declarations of the environment of polling code, for editors."""
        return Declarations(declarations())

    return routes


def declarations() -> str:
    return (resources.files("hairtrigger.sandbox") / "environment.d.ts").read_text("utf-8")


def _milliseconds(time: timedelta) -> float:
    return round(time.total_seconds() * 1000, 3)
