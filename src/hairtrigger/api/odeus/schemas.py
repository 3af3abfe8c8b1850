"""The requests and answers of the Integrations API, with the fields that it publishes.

Fields beyond those are marked as extensions. Lengths are counted in UTF-16 units, as in JavaScript. In a request, null
means the same as leaving the field out.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    HttpUrl,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from hairtrigger.domain import integration as domain
from hairtrigger.domain.integration import ActionFieldType, AuthFieldType, AuthType, FieldType
from hairtrigger.domain.slug import camel, utf16_length
from hairtrigger.services.setup.integrations import ActionDraft, AuthDraft, Contents, TriggerDraft

# -- text

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL takes neither NUL nor half a surrogate pair


@dataclass(frozen=True)
class Utf16:
    """A limit of the length of a text, in UTF-16 units as JavaScript counts.

    It also refuses text that the database cannot store.
    """

    maximum: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "maxLength": self.maximum}

    def _checked(self, text: str) -> str:
        if utf16_length(text) > self.maximum:
            raise PydanticKnownError("string_too_long", {"max_length": self.maximum})
        if _UNSTORABLE.search(text):
            raise PydanticCustomError("string_unicode", "Text may contain neither NUL nor a lone surrogate")
        return text


_TRIMMED = StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
Name = Annotated[str, _TRIMMED, Utf16(100)]
ShortName = Annotated[str, _TRIMMED, Utf16(40)]
Color = Annotated[str, StringConstraints(pattern=r"^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")]
Code = Annotated[str, Utf16(1_000)]
ActionCode = Annotated[str, Utf16(150_000)]


class _HasSlug(Protocol):
    @property
    def slug(self) -> str: ...


S = TypeVar("S", bound=_HasSlug)


def _distinct(fields: list[S]) -> list[S]:
    seen: set[str] = set()
    for slug in (one.slug for one in fields):
        if slug in seen:
            raise PydanticCustomError("duplicate_slug", "Two fields have the slug '{slug}'", {"slug": slug})
        seen.add(slug)
    return fields


_FIELDS = (Field(max_length=100), AfterValidator(_distinct))


# -- requests


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body


class IntegrationCreate(_Body):
    name: ShortName
    description: Annotated[str, Utf16(90)] | None = None


class IntegrationPatch(_Body):
    """The changes to an integration. What is left out stays as it is."""

    name: ShortName | None = None
    description: Annotated[str, Utf16(90)] | None = None
    icon_url: HttpUrl | None = None
    color: Color | None = None


class Option(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    label: Annotated[str, Utf16(500)]
    value: Annotated[str, Utf16(500)]


class _Field(_Body):
    label: Name
    type: ActionFieldType = "TEXT"
    description: Annotated[str, Utf16(500)] | None = ""
    placeholder: Annotated[str, Utf16(200)] | None = None
    required: StrictBool = False
    options: list[Option] | None = Field(None, max_length=1_000, description="What can be chosen in a SELECT.")
    allow_multi_select: StrictBool | None = None

    @property
    def slug(self) -> str:
        return camel(self.label)

    @model_validator(mode="after")
    def _choosable(self) -> Self:
        if self.type == "SELECT" and not self.options:
            raise PydanticCustomError("missing_options", "A SELECT field needs options")
        return self


class InputField(_Field):
    """A field to fill in when a trigger is used."""

    type: FieldType = "TEXT"


class ActionField(_Field):
    """A field to fill in when an action is used."""

    context_action_id: UUID | None = None
    json_schema: Annotated[str, Utf16(40_000)] | None = None


class TriggerBody(_Body):
    """A whole trigger. What is left out becomes empty."""

    name: Name
    description: Annotated[str, Utf16(90)] | None = None
    polling_code: Code | None = Field(None, description="JavaScript that returns an array of events.")
    input_fields: Annotated[list[InputField], *_FIELDS] | None = None

    def draft(self) -> TriggerDraft:
        fields = [{"slug": one.slug, **one.model_dump(exclude_none=True)} for one in self.input_fields or ()]
        return TriggerDraft(self.name, self.description or "", self.polling_code, _INPUT_FIELDS.validate_python(fields))


class ActionBody(_Body):
    """A whole action. In a replacement, code and requiresConfirmation stay if they are left out; all else becomes
    empty.
    """

    name: Name
    description: Annotated[str, Utf16(1_000)] | None = None
    code: ActionCode | None = None
    input_fields: Annotated[list[ActionField], *_FIELDS] | None = None
    requires_confirmation: StrictBool | None = Field(None, description="True where an action is created without it.")

    def draft(self) -> ActionDraft:
        fields = [{"slug": one.slug, **one.model_dump(exclude_none=True)} for one in self.input_fields or ()]
        return ActionDraft(
            self.name,
            self.description or "",
            _ACTION_FIELDS.validate_python(fields),
            self.code,
            self.requires_confirmation,
        )


class AuthFieldBody(_Body):
    slug: Name
    label: Name
    type: AuthFieldType
    description: Annotated[str, Utf16(500)] | None = ""
    placeholder: Annotated[str, Utf16(200)] | None = None
    required: StrictBool = False

    def field(self) -> domain.AuthField:
        return domain.AuthField(**self.model_dump(exclude_none=True))


class OAuthClientBody(_Body):
    scopes: Annotated[str, Utf16(2_000)] | None = None
    auth_url: HttpUrl | None = None
    token_url: HttpUrl | None = None
    client_id: Annotated[str, Utf16(500)] | None = None
    client_secret: Annotated[str, Utf16(500)] | None = Field(None, repr=False, description="Never shown again.")
    label: Annotated[str, Utf16(100)] | None = None
    authorization_code: Code | None = None
    access_token_code: Code | None = None
    refresh_token_code: Code | None = None

    def public(self) -> domain.OAuthClient:
        return domain.OAuthClient(**self.model_dump(mode="json", exclude={"client_secret"}))


class AuthBody(_Body):
    """The way to authenticate. authFields and oauthClient are replaced as a whole. authTestCode and oauthClient stay if
    they are left out, unless authType changes. Then both are deleted, and so are all connections of the integration.
    """

    auth_type: AuthType
    auth_fields: Annotated[list[AuthFieldBody], *_FIELDS] | None = None
    auth_test_code: Code | None = None
    oauth_client: OAuthClientBody | None = None

    def draft(self) -> AuthDraft:
        client = self.oauth_client
        return AuthDraft(
            auth_type=self.auth_type,
            auth_fields=tuple(one.field() for one in self.auth_fields or ()),
            auth_test_code=self.auth_test_code,
            oauth_client=client.public() if client else None,
            oauth_secret=client.client_secret if client else None,
        )


_INPUT_FIELDS = TypeAdapter(tuple[domain.InputField, ...])
_ACTION_FIELDS = TypeAdapter(tuple[domain.ActionField, ...])

# -- answers


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel), from_attributes=True)


class _FieldAnswer(_Answer):
    slug: str
    label: str
    type: ActionFieldType
    description: str
    placeholder: str | None
    required: bool
    options: list[Option] | None
    allow_multi_select: bool | None


class InputFieldAnswer(_FieldAnswer):
    type: FieldType


class ActionFieldAnswer(_FieldAnswer):
    context_action_id: UUID | None
    json_schema: str | None


class TriggerAnswer(_Answer):
    id: UUID
    name: str
    slug: str
    description: str
    type: Literal["POLLING"] = "POLLING"
    polling_code: str | None
    input_fields: list[InputFieldAnswer]


class ActionSummary(_Answer):
    id: UUID
    name: str
    description: str


class ActionAnswer(ActionSummary):
    slug: str
    code: str | None
    order: int = Field(validation_alias="position")
    input_fields: list[ActionFieldAnswer]


class AuthFieldAnswer(_Answer):
    slug: str
    label: str
    type: AuthFieldType
    description: str
    placeholder: str | None
    required: bool


class OAuthClientAnswer(_Answer):
    """An OAuth client without its secret."""

    scopes: str | None
    auth_url: str | None
    token_url: str | None
    client_id: str | None
    label: str | None
    authorization_code: str | None
    access_token_code: str | None
    refresh_token_code: str | None


class IntegrationAuth(_Answer):
    id: UUID
    auth_type: AuthType
    auth_test_code: str | None
    auth_fields: list[AuthFieldAnswer]
    oauth_client: OAuthClientAnswer | None = Field(serialization_alias="oauthClient")


class IntegrationSummary(_Answer):
    id: UUID
    name: str
    description: str


class NewIntegration(IntegrationSummary):
    created_at: datetime


class ListedIntegration(IntegrationSummary):
    auth_type: AuthType
    build_by_langdock: Literal[False] = False
    actions: list[ActionSummary]


class WholeIntegration(IntegrationSummary, IntegrationAuth):
    """An integration with its actions and triggers.

    Extension: actions come with their code and inputFields, triggers with type, pollingCode and inputFields.
    """

    actions: list[ActionAnswer]
    triggers: list[TriggerAnswer]


class IntegrationList(_Answer):
    integrations: list[ListedIntegration]


class IntegrationCreated(_Answer):
    integration: NewIntegration


class IntegrationChanged(_Answer):
    integration: IntegrationSummary


class AuthChanged(_Answer):
    integration: IntegrationAuth


class IntegrationFound(_Answer):
    integration: WholeIntegration

    @classmethod
    def of(cls, contents: Contents) -> Self:
        whole = {**vars(contents.integration), "actions": contents.actions, "triggers": contents.triggers}
        return cls(integration=WholeIntegration.model_validate(whole))


class Trigger(_Answer):
    trigger: TriggerAnswer


class Action(_Answer):
    action: ActionAnswer


class IconPlace(_Answer):
    icon_url: str | None


class Deleted(_Answer):
    message: str
    id: UUID


# -- refusals


class Refusal(BaseModel):
    """A refusal, with a sentence that says what went wrong."""

    message: str


class BodyIssue(BaseModel):
    code: str
    path: list[str | int]
    message: str


class InvalidBody(BaseModel):
    """A refusal of an invalid request. `message` lists the faults of the body, or is a sentence if an id is invalid."""

    message: str | list[BodyIssue]
