"""Defines the fields of an integration that its users fill in, and how it authenticates."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

AuthType = Literal["NONE", "API_KEY", "OAUTH", "OAUTH_DCR"]

FieldType = Literal["TEXT", "MULTI_LINE_TEXT", "NUMBER", "BOOLEAN", "SELECT", "PASSWORD", "VECTOR"]
ActionFieldType = Literal[FieldType, "OBJECT", "FILE", "ID"]
AuthFieldType = Literal["TEXT", "MULTI_LINE_TEXT", "PASSWORD", "NUMBER", "EMBEDDING_MODEL"]


@dataclass(frozen=True)
class Option:
    label: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Field:
    slug: str  # unique among its siblings
    label: str
    description: str = ""
    placeholder: str | None = None
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class AuthField(Field):
    """A field that a user fills in to connect to an integration. Polling code reads the value as `secrets.<slug>`."""

    type: AuthFieldType


@dataclass(frozen=True, kw_only=True)
class InputField(Field):
    """A field that a user fills in to use a trigger of an integration. Polling code reads the value as
    `inputs.<slug>`.
    """

    type: FieldType = "TEXT"
    options: tuple[Option, ...] | None = None  # for a SELECT only
    allow_multi_select: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ActionField(Field):
    type: ActionFieldType = "TEXT"
    options: tuple[Option, ...] | None = None
    allow_multi_select: bool | None = None
    context_action_id: UUID | None = None
    json_schema: str | None = None


@dataclass(frozen=True, kw_only=True)
class OAuthClient:
    """An OAuth client without its secret. The secret is stored sealed, apart from the other fields, and is
    never shown.
    """

    scopes: str | None = None
    auth_url: str | None = None
    token_url: str | None = None
    client_id: str | None = None
    label: str | None = None
    authorization_code: str | None = None  # JavaScript, like the next two
    access_token_code: str | None = None
    refresh_token_code: str | None = None
