"""Manage the integrations that users define, with their authentication, triggers and actions."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from pydantic import AliasChoices, Field, FiniteFloat, create_model

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, Invalid, Issue, NotFound
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.integration import ActionField, AuthField, AuthType, InputField, OAuthClient
from hairtrigger.domain.kept_slugs import with_kept_slugs
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.domain.slug import camel, kebab, snake, unused
from hairtrigger.kit.trigger import PollingConfig
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.remembered import Remembered
from hairtrigger.platform.vault import Vault
from hairtrigger.services.notices import of_disabled
from hairtrigger.store import notices, quotas
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.setup import integrations
from hairtrigger.store.setup.integrations import ActionSummary, Icon, Integration, IntegrationAction, IntegrationTrigger
from hairtrigger.store.transaction import Transaction

_MODEL_BYTES = 4 * 1024  # about what a model needs, and the same again for each of its fields
# Making a model takes a millisecond, and every poll needs one.
_models: Remembered[tuple[InputField, ...], type[PollingConfig]] = Remembered(2000)

_DISCONNECTED = (
    "Its connection was deleted when the integration's authType changed from {} to {}. Give it another one, or null if "
    "it needs none: PATCH /v1/project-triggers/{{id}} with connection_id."
)

Syntax = Callable[[UUID, str], Awaitable[None]]
"""A function that raises `Invalid`, with line and column, for code of an organisation that does not parse."""


@dataclass(frozen=True)
class Contents:
    integration: Integration
    actions: list[IntegrationAction]
    triggers: list[IntegrationTrigger]


@dataclass(frozen=True)
class AuthDraft:
    auth_type: AuthType
    auth_fields: tuple[AuthField, ...]
    auth_test_code: str | None  # None keeps the stored value, also in the next two fields
    oauth_client: OAuthClient | None
    oauth_secret: str | None = field(repr=False)


@dataclass(frozen=True)
class ActionDraft:
    name: str
    description: str
    input_fields: tuple[ActionField, ...]
    code: str | None  # None keeps the stored value, also in the next field
    requires_confirmation: bool | None


@dataclass(frozen=True)
class TriggerDraft:
    name: str
    description: str
    polling_code: str | None
    input_fields: tuple[InputField, ...]


@dataclass(frozen=True, kw_only=True)
class Integrations:
    store: Store
    clock: Clock
    vault: Vault
    syntax: Syntax
    limits: Limits = field(default_factory=Limits)

    async def create(self, caller: Caller, name: str, description: str) -> Integration:
        now = self.clock.now()
        new = Integration(
            id=new_id(now),
            org_id=caller.org_id,
            name=name,
            description=description,
            color=None,
            icon_url=None,
            auth_type="NONE",
            auth_fields=(),
            auth_test_code=None,
            oauth_client=None,
            oauth_secret=None,
            created_at=now,
            updated_at=now,
        )
        async with self.store.transaction() as tx, self._within(tx, caller, Quota.INTEGRATIONS):
            slug = unused(kebab(name, "integration"), await integrations.slugs(tx, caller.org_id))
            new = replace(new, slug=slug)
            await integrations.add(tx, new)
        return new

    async def of_organization(self, caller: Caller) -> list[tuple[Integration, list[ActionSummary]]]:
        async with self.store.transaction() as tx:
            actions = await integrations.action_summaries(tx, caller.org_id)
            found = await integrations.of_organization(tx, caller.org_id)
        return [(one, actions.get(one.id, [])) for one in found]

    async def get(self, caller: Caller, integration_id: UUID) -> Contents:
        async with self.store.transaction() as tx:
            return Contents(
                await self._own(tx, caller, integration_id),
                await integrations.actions(tx, integration_id),
                await integrations.triggers(tx, integration_id),
            )

    async def change(
        self,
        caller: Caller,
        integration_id: UUID,
        *,
        name: str | None = None,
        description: str | None = None,
        color: str | None = None,
        icon_url: str | None = None,
    ) -> Integration:
        """Change the given values, keep those that are None, and return the integration.

        The URL of an icon replaces an uploaded image. The slug stays, and with it the types of the events.
        """
        wanted = {"name": name, "description": description, "color": color, "icon_url": icon_url}
        changes: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
        async with self.store.transaction() as tx, self._within(tx, caller):
            found = await self._own(tx, caller, integration_id, for_update=True)
            changed = replace(found, **changes, slug=slug_of(found), updated_at=self.clock.now())
            await integrations.save(tx, changed)
            if icon_url is not None:
                await integrations.remove_icon(tx, integration_id)
        return changed

    async def set_auth(self, caller: Caller, integration_id: UUID, draft: AuthDraft) -> Integration:
        """Set the authentication, and return the integration.

        If its type changes, all users' connections, the OAuth client and the test code are removed. Project triggers
        that used such a connection fail from then on, with the reason, until they are given another.
        """
        async with self.store.transaction() as tx, self._within(tx, caller):
            found = await self._own(tx, caller, integration_id, for_update=True)
            if draft.auth_type != found.auth_type:
                why = _DISCONNECTED.format(found.auth_type, draft.auth_type)
                await integrations.remove_connections(tx, integration_id, why, self.clock.now())
                found = replace(found, auth_test_code=None, oauth_client=None, oauth_secret=None)
            changed = self._with_auth(found, draft)
            await integrations.save(tx, changed)
        return changed

    # -- icon

    async def icon_url(self, caller: Caller, integration_id: UUID, image_url: str) -> str | None:
        """Return the icon's URL, or `image_url` if an image was uploaded instead, or None if there is no icon."""
        async with self.store.transaction() as tx:
            found = await self._own(tx, caller, integration_id)
            if found.icon_url is not None:
                return found.icon_url
            return image_url if await integrations.has_icon(tx, integration_id) else None

    async def icon(self, caller: Caller, integration_id: UUID) -> Icon:
        async with self.store.transaction() as tx:
            await self._own(tx, caller, integration_id)
            found = await integrations.icon(tx, integration_id)
        if not found:
            raise NotFound("No icon has been uploaded for this integration.")
        return found

    async def set_icon(self, caller: Caller, integration_id: UUID, image: bytes) -> None:
        """Store an image as the icon, in place of any URL.

        Raise `Invalid` if it is not PNG, JPEG or WebP, whatever its content type.
        """
        icon = Icon(_image_type(image), image)
        async with self.store.transaction() as tx, self._within(tx, caller):
            found = await self._own(tx, caller, integration_id, for_update=True)
            await integrations.save(tx, replace(found, icon_url=None, updated_at=self.clock.now()))
            await integrations.set_icon(tx, integration_id, icon)

    # -- triggers

    async def create_trigger(self, caller: Caller, integration_id: UUID, draft: TriggerDraft) -> IntegrationTrigger:
        """Create and return a trigger. Raise `Conflict` if the name is taken, and `Invalid` if its code can't be
        parsed.
        """
        await self._check(caller, draft.polling_code)
        async with self.store.transaction() as tx, self._within(tx, caller, Quota.INTEGRATION_TRIGGERS):
            integration = await self._own(tx, caller, integration_id, for_update=True)
            used = {*(await integrations.trigger_slugs(tx, integration_id)), *(integration.retired_slugs or ())}
            slug = unused(kebab(draft.name), used)
            new = IntegrationTrigger(
                id=new_id(self.clock.now()), integration_id=integration_id, slug=slug, **vars(draft)
            )
            if not await integrations.add_trigger(tx, new):
                raise _trigger_exists(draft.name)
        return new

    async def replace_trigger(
        self, caller: Caller, integration_id: UUID, trigger_id: UUID, draft: TriggerDraft
    ) -> IntegrationTrigger:
        """Replace the trigger except its id and its slug, by which project triggers refer to it, and return it.

        An input field that only has another label keeps its slug, under which project triggers have stored its value.
        Raise `Conflict` if the name is taken, and `Invalid` if the code can't be parsed.
        """
        await self._check(caller, draft.polling_code)
        async with self.store.transaction() as tx, self._within(tx, caller):
            found = await self._own_trigger(tx, caller, integration_id, trigger_id)
            fields = with_kept_slugs(found.input_fields, draft.input_fields)
            changed = replace(found, **{**vars(draft), "input_fields": fields})
            if not await integrations.save_trigger(tx, changed):
                raise _trigger_exists(draft.name)
            if parts := _edited(found, changed):
                users = await integrations.users(tx, found)
                await _changed(tx, users, self.clock.now(), f"The author of the integration edited its {parts}.")
        return changed

    async def delete_trigger(self, caller: Caller, integration_id: UUID, trigger_id: UUID) -> None:
        """Delete a trigger, and disable the project triggers that use it."""
        now = self.clock.now()
        async with self.store.transaction() as tx:
            gone = await self._own_trigger(tx, caller, integration_id, trigger_id)
            await integrations.remove_trigger(tx, integration_id, trigger_id)
            await self._retire(tx, caller, integration_id, gone.slug)
            why = f"Disabled: the integration's trigger '{gone.slug}' was deleted."
            for user in await integrations.disable_users(tx, gone, now):
                off = Outcome(Kind.TRIGGER, Code.DISABLED, now, caller.org_id, user, why)
                await outcomes.record(tx, off)
                await notices.note(tx, *of_disabled([off]))

    # -- actions

    async def create_action(self, caller: Caller, integration_id: UUID, draft: ActionDraft) -> IntegrationAction:
        """Create and return an action. Raise `Conflict` if the name is taken."""
        async with self.store.transaction() as tx, self._within(tx, caller, Quota.INTEGRATION_ACTIONS):
            integration = await self._own(tx, caller, integration_id, for_update=True)
            used = {*(await integrations.action_slugs(tx, integration_id)), *(integration.retired_slugs or ())}
            new = IntegrationAction(
                id=new_id(self.clock.now()),
                integration_id=integration_id,
                name=draft.name,
                slug=unused(kebab(draft.name, "action"), used),
                description=draft.description,
                code=draft.code,
                position=await integrations.next_position(tx, integration_id),
                input_fields=draft.input_fields,
                requires_confirmation=draft.requires_confirmation is not False,
            )
            if not await integrations.add_action(tx, new):
                raise _action_exists(draft.name)
        return new

    async def replace_action(
        self, caller: Caller, integration_id: UUID, action_id: UUID, draft: ActionDraft
    ) -> IntegrationAction:
        """Replace the action except its id, slug and position, and return it. Raise `Conflict` if the name is taken."""
        changes = {key: value for key, value in vars(draft).items() if value is not None}
        async with self.store.transaction() as tx, self._within(tx, caller):
            await self._own(tx, caller, integration_id, for_update=True)
            found = await integrations.action(tx, integration_id, action_id)
            if not found:
                raise _no_action()
            changed = replace(found, **changes)
            if not await integrations.save_action(tx, changed):
                raise _action_exists(draft.name)
        return changed

    async def delete_action(self, caller: Caller, integration_id: UUID, action_id: UUID) -> None:
        async with self.store.transaction() as tx:
            await self._own(tx, caller, integration_id, for_update=True)
            gone = await integrations.action(tx, integration_id, action_id)
            if not gone:
                raise _no_action()
            await integrations.remove_action(tx, integration_id, action_id)
            await self._retire(tx, caller, integration_id, gone.slug)

    # -- the rest

    def _within(self, tx: Transaction, caller: Caller, *more: Quota) -> AbstractAsyncContextManager[None]:
        return quotas.within(tx, caller.org_id, self.limits, *more)

    async def _own(
        self, tx: Transaction, caller: Caller, integration_id: UUID, *, for_update: bool = False
    ) -> Integration:
        found = await integrations.get(tx, caller.org_id, integration_id, for_update=for_update)
        if not found:
            raise NotFound("Integration not found")
        return found

    async def _own_trigger(
        self, tx: Transaction, caller: Caller, integration_id: UUID, trigger_id: UUID
    ) -> IntegrationTrigger:
        await self._own(tx, caller, integration_id, for_update=True)
        found = await integrations.trigger(tx, integration_id, trigger_id)
        if not found:
            raise NotFound("Trigger not found")
        return found

    async def _retire(self, tx: Transaction, caller: Caller, integration_id: UUID, slug: str) -> None:
        """Record a slug that is never to be given again.

        What still refers to a deleted trigger or action must not find another one under its slug.
        """
        found = await self._own(tx, caller, integration_id, for_update=True)
        await integrations.save(tx, replace(found, retired_slugs=(*(found.retired_slugs or ()), slug)))

    async def _check(self, caller: Caller, polling_code: str | None) -> None:
        if polling_code is not None:
            await self.syntax(caller.org_id, polling_code)

    def _with_auth(self, found: Integration, draft: AuthDraft) -> Integration:
        changes: dict[str, Any] = {"auth_type": draft.auth_type, "auth_fields": draft.auth_fields}
        if draft.auth_test_code is not None:
            changes["auth_test_code"] = draft.auth_test_code
        if draft.oauth_client is not None:
            changes["oauth_client"] = draft.oauth_client
            # The secret is replaced with the client: an old secret could be sent to the token URL of the new client.
            changes["oauth_secret"] = self._sealed(found.id, draft.oauth_secret)
        return replace(found, **changes, updated_at=self.clock.now())

    def _sealed(self, integration_id: UUID, secret: str | None) -> bytes | None:
        return self.vault.seal(secret.encode(), f"integration/{integration_id}") if secret else None


def slug_of(integration: Integration) -> str:
    """Return the slug of an integration.

    If none is stored, it follows from the name, which has not changed yet, because a change stores the slug.
    """
    return integration.slug or kebab(integration.name)


def config_model(fields: Sequence[InputField]) -> type[PollingConfig]:
    """Return the configuration's class for project triggers of a trigger with these fields.

    A value may be given under its field's slug, its label, or its label in camelCase or snake_case.
    """
    key = tuple(fields)
    model = _models.get(key)
    if model is None:
        model = _config_model(key)
        _models.keep(key, model, _MODEL_BYTES * (1 + len(key)) + len(repr(key)))
    return model


def _config_model(fields: tuple[InputField, ...]) -> type[PollingConfig]:
    columns: dict[str, Any] = {
        f"input_{number}": _accepted(one, names)
        for number, (one, names) in enumerate(zip(fields, _names(fields), strict=True))
    }
    return create_model("Inputs", __base__=PollingConfig, **columns)


def inputs_of(fields: Sequence[InputField], config: PollingConfig) -> dict[str, Any]:
    """Return `inputs` as polling code sees it. Each value is there under all names of its field; None is left out.

    `config` is an instance of the `config_model` of the same fields.
    """
    return {
        name: value
        for number, names in enumerate(_names(fields))
        if (value := getattr(config, f"input_{number}")) is not None
        for name in names
    }


def passwords_of(fields: Sequence[InputField], config: PollingConfig) -> tuple[str, ...]:
    """Return the values of password inputs, which must be hidden in all texts that come from the code."""
    values = (getattr(config, f"input_{number}") for number, one in enumerate(fields) if one.type == "PASSWORD")
    return tuple(value for value in values if value)


def _names(fields: Sequence[InputField]) -> list[list[str]]:
    """Return the names of each field, its slug first. No name of a field is the slug of another one."""
    taken = {one.slug for one in fields} | set(PollingConfig.model_fields)
    return [[one.slug, *(name for name in _of_label(one.label) if name not in taken)] for one in fields]


def _of_label(label: str) -> Iterable[str]:
    return dict.fromkeys((camel(label), snake(label), label))


def _accepted(one: InputField, names: Sequence[str]) -> tuple[Any, Any]:
    declared = Field(
        default=... if one.required else None,
        validation_alias=AliasChoices(names[0], *names[1:]),
        title=one.label,
        description=one.description or None,
        repr=one.type != "PASSWORD",
        json_schema_extra={"format": "password", "writeOnly": True} if one.type == "PASSWORD" else None,
    )
    return (_type(one) if one.required else _type(one) | None, declared)


def _type(one: InputField) -> Any:
    match one.type:
        case "TEXT" | "MULTI_LINE_TEXT" | "PASSWORD":
            return str
        case "NUMBER":
            return int | FiniteFloat
        case "BOOLEAN":
            return bool
        case "VECTOR":
            return list[FiniteFloat]
        case "SELECT":
            choice = cast(Any, Literal)[tuple(option.value for option in one.options or ())]
            return cast(Any, list)[choice] if one.allow_multi_select else choice


async def _changed(tx: Transaction, users: Sequence[tuple[UUID, UUID]], now: datetime, why: str) -> None:
    """Record a change on project triggers, each given as a pair of its id and its organisation's id."""
    await outcomes.record(tx, *(Outcome(Kind.TRIGGER, Code.CHANGED, now, org_id, id_, why) for id_, org_id in users))


def _edited(before: IntegrationTrigger, after: IntegrationTrigger) -> str:
    parts = {
        "polling code": before.polling_code != after.polling_code,
        "input fields": before.input_fields != after.input_fields,
    }
    return " and ".join(name for name, differs in parts.items() if differs)


def _image_type(image: bytes) -> str:
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if image.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    raise Invalid(None, Issue(("icon",), "The icon is not a PNG, JPEG or WebP image."))


def _trigger_exists(name: str) -> Conflict:
    return Conflict(f"Trigger with this name already exists in the integration: {name}")


def _action_exists(name: str) -> Conflict:
    return Conflict(f"Action with this name already exists in the integration: {name}")


def _no_action() -> NotFound:
    return NotFound("Action not found")
