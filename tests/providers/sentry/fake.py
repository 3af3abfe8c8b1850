"""Sentry: requests of an integration. https://docs.sentry.io/organization/integrations/integration-platform/webhooks/"""

import json
from collections.abc import Mapping
from datetime import datetime

from hairtrigger.conformance import Recorded
from hairtrigger.conformance.fakes import Unasked
from hairtrigger.providers.sentry import provider
from tests.providers.hook_fake import sample_of, scheme_of, signed


class Fake(Unasked):
    def signed(self, body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
        return signed(scheme_of("sentry"), body, secret, at)


_RESOURCES = {"on_issue_alert": "event_alert", "on_metric_alert": "metric_alert", "on_comment_created": "comment"}


def _recorded(trigger: str) -> Recorded:
    resource = _RESOURCES.get(trigger, "issue")
    subject = "1170820242" if resource == "issue" else None
    body = json.dumps(sample_of(provider, trigger)).encode()
    return Recorded(trigger, subject=subject, body=body, headers={"sentry-hook-resource": resource})


RECORDED = tuple(_recorded(one.id) for one in provider.triggers)
