"""The quotas of an organisation with their use, and whether the service takes new events."""

from fastapi import APIRouter

from hairtrigger.api.auth import Admitted
from hairtrigger.api.v1.schemas import Page, QuotaUse, ServiceHealth
from hairtrigger.services.disk_watch import DiskWatch
from hairtrigger.services.quotas import Quotas


def router(routes: APIRouter, quotas: Quotas, disk: DiskWatch) -> APIRouter:
    @routes.get("/usage")
    async def get_usage(caller: Admitted) -> Page[QuotaUse]:
        """Each quota of the organisation: its limit, what is used of it, and when the count begins again."""
        return Page(data=[QuotaUse.of(use) for use in await quotas.usage(caller)])

    @routes.get("/health")
    async def get_health(_: Admitted) -> ServiceHealth:
        """The service takes new events or not; how full its disk is, as far as that can be seen."""
        return ServiceHealth.of(disk.use)

    return routes
