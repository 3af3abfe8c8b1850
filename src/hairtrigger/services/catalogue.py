"""The catalogue holds the native providers and the integrations of organisations, with their triggers."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo

from hairtrigger.domain.errors import InvalidConfig, Issue, NotFound
from hairtrigger.domain.ids import parsed_id
from hairtrigger.kit.config import Config
from hairtrigger.kit.trigger import Provider, Trigger
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.transaction import Transaction

_MOST_TOLD = 5

Owned = tuple[UUID, UUID]  # ids of an organisation and of an integration that may belong to it
UserProviders = Callable[[Transaction, Collection[Owned]], Awaitable[Mapping[Owned, Provider]]]


@dataclass(frozen=True)
class Catalogue:
    providers: Mapping[str, Provider]
    user_providers: UserProviders

    def native(self, provider_id: str) -> Provider | None:
        return self.providers.get(provider_id)

    def native_trigger(self, provider_id: str, trigger_id: str) -> Trigger | None:
        provider = self.native(provider_id)
        return provider.trigger(trigger_id) if provider else None

    async def provider(self, tx: Transaction, org_id: UUID | None, provider_id: str) -> Provider:
        """Return the native provider or the organisation's integration with this id.

        Raise `NotFound` if there is none; another organisation's integration counts as none.
        """
        found = self.native(provider_id)
        if found is None and org_id is not None and (integration_id := parsed_id(provider_id)):
            owned = org_id, integration_id
            found = (await self.user_providers(tx, [owned])).get(owned)
        if found is None:
            raise NotFound(f"There is no provider '{provider_id}'.")
        return found

    async def trigger(
        self, tx: Transaction, org_id: UUID | None, provider_id: str, trigger_id: str
    ) -> tuple[Provider, Trigger]:
        provider = await self.provider(tx, org_id, provider_id)
        trigger = provider.trigger(trigger_id)
        if trigger is None:
            raise NotFound(f"The provider '{provider_id}' has no trigger '{trigger_id}'.")
        return provider, trigger

    async def providers_of(self, tx: Transaction, triggers: Sequence[ProjectTrigger]) -> dict[UUID, Provider | None]:
        """Return the provider of each trigger by the trigger's id. It is None if the provider no longer exists."""
        found: dict[UUID, Provider | None] = {one.id: self.native(one.provider_id) for one in triggers}
        owned = {
            one.id: (one.org_id, id_)
            for one in triggers
            if found[one.id] is None and (id_ := parsed_id(one.provider_id)) is not None
        }
        made = await self.user_providers(tx, set(owned.values())) if owned else {}
        return found | {id_: made.get(wanted) for id_, wanted in owned.items()}


def catalogue_of(
    providers: Sequence[Provider], user_providers: UserProviders, base_urls: Mapping[str, str] | None = None
) -> Catalogue:
    """Return a catalogue of these native providers and of the integrations that `user_providers` finds.

    `base_urls` gives providers other addresses by their ids, such as that of an enterprise server, or of a fake in a
    test.
    """
    moved = base_urls or {}
    return Catalogue({p.id: replace(p, base_url=moved.get(p.id, p.base_url)) for p in providers}, user_providers)


def validated(definition: Trigger, params: Mapping[str, Any]) -> Config:
    """Return the configuration as an object of the definition's `config` class.

    Raise `InvalidConfig` with a path to each wrong value.
    """
    try:
        config: Config = definition.config.model_validate(params)
    except ValidationError as error:
        issues = [Issue(tuple(e["loc"]), e["msg"], e["type"]) for e in error.errors()]
        raise InvalidConfig(_sentence(definition, issues), *issues) from error
    return config


def _sentence(definition: Trigger, issues: Sequence[Issue]) -> str:
    """Return a sentence that says what is wrong with a configuration. It names the fields, and never their values."""
    titles = {_key(name, field): field.title for name, field in definition.config.model_fields.items()}
    told = []
    for issue in issues[:_MOST_TOLD]:
        key = str(issue.path[0]) if issue.path else ""
        title = titles.get(key)
        where = ".".join(map(str, issue.path)) or "all of it"
        told.append(f"{where} ('{title}'): {issue.message}" if title and title != key else f"{where}: {issue.message}")
    more = f"; and {len(issues) - len(told)} more" if len(issues) > len(told) else ""
    return f"The trigger's configuration is not valid: {'; '.join(told)}{more}."


def _key(name: str, field: FieldInfo) -> str:
    """Return the key in a configuration under which new values of the field are stored."""
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


def config_of(definition: Trigger, trigger: ProjectTrigger) -> Any:
    return validated(definition, trigger.config)


def secret_params(definition: Trigger) -> set[str]:
    """Return all names, aliases included, under which a configuration may hold a secret."""
    names: set[str] = set()
    for name, field in definition.config.model_fields.items():
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("writeOnly"):
            alias = field.validation_alias
            names |= {str(choice) for choice in alias.choices} if isinstance(alias, AliasChoices) else {name}
    return names
