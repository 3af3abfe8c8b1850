"""The shapes of the routes for OAuth."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from hairtrigger.api.external_user import ExternalUserId
from hairtrigger.api.v1.schemas import Body, Name, Secret
from hairtrigger.kit.oauth import Client
from hairtrigger.services.setup.authorizations import Started, Wanted
from hairtrigger.store.setup import authorizations, connect_links, oauth_clients

Scope = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!#-\[\]-~]+$")]


class AuthorizationCreate(Body):
    provider_id: str
    way: str | None = Field(None, description="One of the provider's ways to connect. Default: its first by OAuth.")
    name: Name | None = Field(None, description="Of the connection. Default: the provider's name.")
    fields: dict[str, Secret] = Field(
        {},
        repr=False,
        max_length=50,
        description="What the provider's addresses need, such as the site of the account.",
    )
    triggers: list[str] = Field(
        [], max_length=100, description="The ids of the triggers that it is for, which decide the scopes. Default: all."
    )
    scopes: list[Scope] = Field([], max_length=100, description="Further scopes to ask for.")
    connection_id: UUID | None = Field(None, description="A connection to connect again. It keeps its id.")
    external_user_id: ExternalUserId | None = None
    device: bool = Field(False, description="Whether the user enters a code on another device (RFC 8628).")

    def wanted(self) -> Wanted:
        return Wanted(**self.model_dump(exclude={"device"}))


class Authorization(BaseModel):
    id: UUID
    provider_id: str
    way: str | None
    status: Literal["pending", "done", "failed"]
    detail: str = Field(description="What came of it, in a sentence.")
    connection_id: UUID | None = Field(description="What is connected again, or the connection that came of it.")
    external_user_id: str | None
    scopes: list[str] = Field(description="That the provider is asked for, besides those of all its connections.")
    created_at: datetime
    expires_at: datetime = Field(description="By when the user must grant it.")

    @classmethod
    def of(cls, stored: authorizations.Authorization) -> "Authorization":
        status = "pending" if stored.status == "taken" else stored.status
        return cls.model_validate({**vars(stored), "status": status})


class StartedAuthorization(Authorization):
    url: str = Field(repr=False, description="Where the user grants it.")
    user_code: str | None = Field(description="What the user enters there, with `device`.")
    complete_url: str | None = Field(repr=False, description="The same address with the code in it, if there is one.")

    @classmethod
    def started(cls, started: Started) -> "StartedAuthorization":
        base = Authorization.of(started.authorization).model_dump()
        return cls(**base, url=started.url, user_code=started.user_code, complete_url=started.complete_url)


class ConnectLinkCreate(Body):
    provider_id: str
    external_user_id: ExternalUserId | None = None
    way: str | None = Field(None, description="One of the provider's ways to connect. Default: the first one.")
    name: Name | None = Field(None, description="Of the connection. Default: the provider's name.")
    fields: dict[str, Secret] = Field(
        {}, repr=False, max_length=50, description="Fields that you set. The user enters the others."
    )
    triggers: list[str] = Field([], max_length=100, description="The triggers that it is for, which decide the scopes.")
    scopes: list[Scope] = Field([], max_length=100, description="Further scopes to ask for.")
    connection_id: UUID | None = Field(None, description="A connection to connect again. It keeps its id.")
    expires_in: Annotated[int, Field(ge=60, le=7 * 86_400)] = Field(3600, description="Seconds that it can be used.")

    def wanted(self) -> Wanted:
        return Wanted(**self.model_dump(exclude={"expires_in"}))


class ConnectLink(BaseModel):
    id: UUID
    provider_id: str
    way: str | None
    external_user_id: str | None
    connection_id: UUID | None = Field(description="What is connected again, or the connection that came of it.")
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None

    @classmethod
    def of(cls, stored: connect_links.ConnectLink) -> "ConnectLink":
        given = {name: value for name, value in vars(stored).items() if name in cls.model_fields}
        return cls.model_validate(given)


class NewConnectLink(ConnectLink):
    url: str = Field(repr=False, description="Give it to the user. It is shown once.")

    @classmethod
    def with_url(cls, stored: connect_links.ConnectLink, url: str) -> "NewConnectLink":
        return cls(**ConnectLink.of(stored).model_dump(), url=url)


class ExternalUserDeleted(BaseModel):
    triggers: int
    connections: int


class OAuthClientPut(Body):
    client_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    client_secret: Secret | None = Field(None, repr=False, description="Write-only. Null: a public client.")

    def client(self) -> Client:
        return Client(self.client_id, self.client_secret or "")


class OAuthClient(BaseModel):
    provider_id: str = Field(description="The provider, or the name that several providers share, such as google.")
    client_id: str
    redirect_uri: str = Field(description="The redirect address to register at the provider.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: oauth_clients.OAuthClient, redirect_uri: str) -> "OAuthClient":
        return cls.model_validate({**vars(stored), "redirect_uri": redirect_uri})
