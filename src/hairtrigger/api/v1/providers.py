"""The routes that show providers, what a connection to each of them needs, and the form of each trigger."""

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import FieldOption, OptionsAsked, Page, Provider, TriggerForm
from hairtrigger.domain.errors import NotFound
from hairtrigger.services.setup.connections import Connections
from hairtrigger.services.setup.field_options import FieldOptions


def router(routes: APIRouter, connections: Connections, options: FieldOptions) -> APIRouter:
    @routes.get("/providers")
    async def list_providers(caller: Admitted) -> Page[Provider]:
        """Lists the providers of the service and the integrations of the organisation, with their triggers."""
        return Page(data=[Provider.of(one) for one in await connections.providers(caller)])

    @routes.get("/providers/{provider_id}")
    async def get_provider(provider_id: str, caller: Admitted) -> Provider:
        return Provider.of(await connections.provider(caller, provider_id))

    @routes.get("/providers/{provider_id}/triggers/{trigger_id}")
    async def get_trigger_form(provider_id: str, trigger_id: str, caller: Admitted) -> TriggerForm:
        """Shows the form of a trigger's configuration, and what its events are like."""
        provider = await connections.provider(caller, provider_id)
        trigger = provider.trigger(trigger_id)
        if trigger is None:
            raise NotFound(f"The provider '{provider_id}' has no trigger '{trigger_id}'.")
        return TriggerForm.of(trigger)

    @routes.post("/providers/{provider_id}/triggers/{trigger_id}/options/{field}")
    async def list_field_options(
        provider_id: str, trigger_id: str, field: str, body: OptionsAsked, caller: Admitted
    ) -> Page[FieldOption]:
        """Asks the provider which values a field of the configuration can have. Nothing is stored."""
        found = await options.page(
            *(caller, provider_id, trigger_id, field, body.connection_id),
            config=body.trigger_config,
            search=body.search,
            token=body.page,
        )
        return Page(data=[FieldOption.of(one) for one in found.options], next_cursor=found.following)

    return routes
