from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

import pytest

from hairtrigger.domain.target import Outgoing
from hairtrigger.platform.egress import Egress, EgressPolicy


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    async with Egress(EgressPolicy(allow=(ip_network("127.0.0.0/8"),))) as egress:
        yield egress


@pytest.fixture
def outgoing() -> Outgoing:
    now = datetime.now(UTC)
    return Outgoing(
        delivery_id=UUID("0190f7a4-1111-7000-8000-000000000001"),
        event_id=UUID("0190f7a4-2222-7000-8000-000000000002"),
        attempt=2,
        source="/project-triggers/0190f7a4-3333-7000-8000-000000000003",
        type="stripe.on_customer_created",
        subject="cus_1",
        time=now - timedelta(seconds=5),
        content_type="application/json; charset=utf-8",
        body=b'{"id": "cus_1", "balance": 1.0, "big": 123456789012345678901234567890, "name": "\\u00e9\xc3\xa9"}',
        org_id=UUID("0190f7a4-4444-7000-8000-000000000004"),
        project_id="proj-1",
        project_trigger_id=UUID("0190f7a4-3333-7000-8000-000000000003"),
        event_key="evt_1",
    )
