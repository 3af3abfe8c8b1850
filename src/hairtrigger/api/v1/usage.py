"""The routes for an organisation's use of its quotas, and for the health of the service."""

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import Page, QuotaUse, ServiceHealth
from hairtrigger.services.disk_watch import DiskWatch
from hairtrigger.services.quotas import Quotas


def router(routes: APIRouter, quotas: Quotas, disk: DiskWatch) -> APIRouter:
    @routes.get("/usage")
    async def get_usage(caller: Admitted) -> Page[QuotaUse]:
        """Lists the quotas of the organisation, each with its limit, its use and the time at which the count begins
        again.
        """
        return Page(data=[QuotaUse.of(use) for use in await quotas.usage(caller)])

    @routes.get("/health")
    async def get_health(_: Admitted) -> ServiceHealth:
        """Returns whether the service takes new events, and how full its disk is, as far as that can be seen."""
        return ServiceHealth.of(disk.use)

    return routes
