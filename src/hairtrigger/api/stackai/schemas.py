"""The shapes of the Triggers API, field for field as published."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, WithJsonSchema, model_validator

from hairtrigger.api.external_user import ExternalUserId
from hairtrigger.api.privacy import Privacy
from hairtrigger.kit.trigger import AppWebhook, Provider, Trigger, Webhook, trigger_type
from hairtrigger.services.secrets import MASK, is_sealed
from hairtrigger.services.setup.samples import can_sample
from hairtrigger.store.setup.triggers import TriggerWithCursor as Stored

Instant = Annotated[
    datetime,
    PlainSerializer(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z", return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ProjectTrigger(BaseModel):
    """The stored metadata of a trigger."""

    project_trigger_id: UUID
    project_id: str = Field(description="The project that is run by this trigger.")
    connection_id: UUID | None = Field(None, description="The connection used by the trigger, if any.")
    provider_id: str = Field(description="The provider the trigger belongs to, for example `stripe`.")
    trigger_id: str = Field(description="The provider's trigger, for example `on_customer_created`.")
    webhook_data: dict[str, Any] | None = Field(None, description="The webhook as it stands at the provider.")
    cursor_data: dict[str, Any] | None = Field(
        None, description="How far a polling trigger has come; null for other triggers."
    )
    trigger_config: dict[str, Any] | None = Field(None, description="The trigger's configuration.")
    status: Literal["ENABLED", "DISABLED"] = "DISABLED"
    created_at: Instant
    updated_at: Instant
    created_by: UUID
    updated_by: UUID | None = None
    name: str | None = Field(None, description="Extension: a name that the user gave it.")

    @classmethod
    def of(cls, stored: Stored) -> "ProjectTrigger":
        return cls.model_validate(_fields(stored))


class NotedTrigger(ProjectTrigger):
    """A trigger that was created or enabled, with sentences about what in its configuration may surprise."""

    notes: list[str] = Field(description="Extension: sentences about what may surprise, such as when a schedule fires.")


class OrganizationTrigger(ProjectTrigger):
    """A trigger of the caller's organisation, with its project's name.

    `trigger` repeats the same fields as a nested object, as the published API does.
    """

    project_name: str | None
    trigger: ProjectTrigger

    @classmethod
    def named(cls, stored: Stored, project_name: str) -> "OrganizationTrigger":
        fields = _fields(stored)
        return cls.model_validate({**fields, "project_name": project_name, "trigger": fields})


class TriggerCreate(BaseModel):
    """The body of a request that creates a trigger. An unknown key is refused, because it is most likely a typing
    error.
    """

    model_config = ConfigDict(extra="forbid")

    provider_id: str
    trigger_id: str
    connection_id: UUID | None = None
    name: Name | None = Field(None, description="Extension.")
    privacy: Privacy = Field(Privacy(), description="Extension.")
    external_user_id: ExternalUserId | None = Field(None, description="Extension: the user of your product.")
    trigger_config_params: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="The trigger's configuration; its fields depend on the trigger.",
    )
    trigger_config: dict[str, Any] | None = Field(
        None, repr=False, description="The same under the name that the answers use. Give one of the two."
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if self.trigger_config is not None and self.trigger_config_params:
            raise ValueError("Give trigger_config_params or trigger_config, not both.")
        return self

    @property
    def config_name(self) -> str:
        """Return the name under which the configuration was given."""
        return "trigger_config_params" if self.trigger_config is None else "trigger_config"

    @property
    def config(self) -> dict[str, Any]:
        return self.trigger_config_params if self.trigger_config is None else self.trigger_config


class TriggerDefinition(BaseModel):
    """A trigger as the catalogue describes it."""

    trigger_type: Literal["POLLING", "WEBHOOK", "SCHEDULED"]
    provider_id: str = Field(description="The id of the provider")
    trigger_id: str = Field(description="The id of the trigger.")
    trigger_name: str = Field(description="The name of the trigger.")
    description: str
    instructions: str | None = Field(None, description="The instructions of the trigger.")
    icon: str = Field(description="The icon of the trigger.")
    tags: list[str] | None = Field(default_factory=list, description="The tags of the trigger")
    version: str = Field("1.0.0", description="The version of the trigger")
    webhook_requires_verification: bool = Field(
        default=False,
        description="Whether the provider sends a challenge that must be answered before the webhook exists.",
    )
    can_get_test_samples: bool = Field(
        description="Whether the trigger can get test samples.", json_schema_extra={"readOnly": True}
    )
    config_schema: dict[str, Any] = Field(
        description="Extension: the JSON Schema of `trigger_config_params`, for forms and validation."
    )

    @classmethod
    def of(cls, provider: Provider, trigger: Trigger) -> "TriggerDefinition":
        return cls(
            trigger_type=trigger_type(trigger),
            provider_id=provider.id,
            trigger_id=trigger.id,
            trigger_name=trigger.name,
            description=trigger.description,
            instructions=trigger.instructions,
            icon=provider.icon,
            tags=list(trigger.tags),
            version=trigger.version,
            webhook_requires_verification=isinstance(trigger, Webhook | AppWebhook) and trigger.requires_verification,
            can_get_test_samples=can_sample(trigger),
            config_schema=trigger.config.model_json_schema(),
        )


class TestSamples(BaseModel):
    """Example events of a trigger."""

    model_config = ConfigDict(extra="allow")

    samples: list[Any]
    source: Literal["live", "example"]


class Token(BaseModel):
    """An access token. Requests send it as `Authorization: Bearer …`."""

    access_token: str = Field(repr=False)
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds.")


class TokenError(BaseModel):
    """The reason why there is no access token, in OAuth2's words (RFC 6749, 5.2) and in a sentence."""

    error: str = Field(
        description="`invalid_grant`: the e-mail address or the password is wrong. `unsupported_grant_type`, "
        "`invalid_request`: the form is. `temporarily_unavailable`: try again later."
    )
    error_description: str
    detail: str


class Detail(BaseModel):
    """A refusal, with a sentence that says what went wrong."""

    detail: str


class ValidationIssue(BaseModel):
    loc: list[str | int]
    msg: str
    type: str


class HTTPValidationError(BaseModel):
    """A refusal of an invalid request. It lists what is wrong and where."""

    detail: list[ValidationIssue]


def noted(stored: Stored, notes: list[str]) -> NotedTrigger | ProjectTrigger:
    """Return the trigger in the published shape, with `notes` added only if there are any."""
    return NotedTrigger.model_validate({**_fields(stored), "notes": notes}) if notes else ProjectTrigger.of(stored)


def _fields(stored: Stored) -> dict[str, Any]:
    return {
        "project_trigger_id": stored.id,
        "project_id": stored.project_id,
        "connection_id": stored.connection_id,
        "provider_id": stored.provider_id,
        "trigger_id": stored.trigger_id,
        "webhook_data": stored.webhook_data,
        "cursor_data": stored.cursor,
        "trigger_config": {name: MASK if is_sealed(value) else value for name, value in stored.config.items()},
        "status": "ENABLED" if stored.enabled else "DISABLED",
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
        "created_by": stored.created_by,
        "updated_by": stored.updated_by,
        "name": stored.name,
    }
