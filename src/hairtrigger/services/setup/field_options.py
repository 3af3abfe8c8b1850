"""Ask providers for the values that a user can choose for a field of a trigger's configuration. Nothing is stored."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Invalid, Issue, NotFound, NotReady, ProviderFailed
from hairtrigger.kit.trigger import Option, OptionPage, Options, Trigger
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.provider_calls import ProviderCalls
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections

MOST = 200  # options of a page
_LONGEST = 500  # characters of a value, a label or a token
_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class FieldOptions:
    store: Store
    catalogue: Catalogue
    calls: ProviderCalls

    async def page(
        self,
        caller: Caller,
        provider_id: str,
        trigger_id: str,
        field: str,
        connection_id: UUID | None,
        config: Mapping[str, Any],
        search: str,
        token: str | None,
    ) -> OptionPage:
        """Return a page of the options that match `search`, at most 200. `config` is what the user has entered so far.

        Raise `NotFound` if there is no such field, `NotReady` if its values can't be listed, `Invalid` if a connection
        is missing or does not fit, `ProviderFailed` if the provider does not answer, and `RateLimited` while too many
        such calls are under way.
        """
        async with self.store.transaction() as tx:
            provider, definition = await self.catalogue.trigger(tx, caller.org_id, provider_id, trigger_id)
            ask = _options_of(definition, field)
            connection = await connections.existing(tx, caller.org_id, connection_id) if connection_id else None
        if connection is None and provider.fields and definition.needs_connection:
            raise Invalid(None, Issue(("connection_id",), f"Give a connection to '{provider_id}'.", "missing"))
        if connection and connection.provider_id != provider_id:
            other = f"This is a connection to '{connection.provider_id}', not to '{provider_id}'."
            raise Invalid(None, Issue(("connection_id",), other))
        tenant = Tenant(str(caller.org_id))
        known = {name: value for name, value in config.items() if name in definition.config.model_fields}
        unchecked = definition.config.model_construct(None, **known)
        question = self.calls.question(provider, definition, tenant, unchecked, self.calls.credentials_in(connection))
        with self.calls.asked(tenant):
            try:
                async with asyncio.timeout(_WITHIN.total_seconds()):
                    found = await ask(question, search, token)
            except TimeoutError as error:
                raise ProviderFailed(f"{provider.name} did not answer within {_WITHIN}.") from error
        return _bounded(found)


def _options_of(definition: Trigger, field: str) -> Options:
    if ask := definition.options.get(field):
        return ask
    if field in definition.config.model_fields:
        raise NotReady(f"The values of '{field}' can't be listed. Enter one.")
    raise NotFound(f"The trigger's configuration has no field '{field}'.")


def _bounded(found: OptionPage) -> OptionPage:
    options = [Option(one.value, one.label[:_LONGEST]) for one in found.options if len(one.value) <= _LONGEST]
    following = found.following if found.following and len(found.following) <= _LONGEST else None
    return OptionPage(options[:MOST], following)
