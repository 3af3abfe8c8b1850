"""Clerk: deliveries by Svix. https://clerk.com/docs/guides/development/webhooks/overview"""

from collections.abc import Mapping
from datetime import datetime

from hairtrigger.conformance.fakes import Unasked
from hairtrigger.providers.clerk import provider
from tests.providers.hook_fake import all_sampled, scheme_of, signed


class Fake(Unasked):
    def signed(self, body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
        return signed(scheme_of("clerk"), body, secret, at)


RECORDED = all_sampled(provider, [(one.id, "msg_1", "user_29w83sxmDNGwOuEthce5gg56FcC") for one in provider.triggers])
