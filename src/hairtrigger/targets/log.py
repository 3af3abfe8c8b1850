"""The service's own log as a target: what would be sent, seen before there is anything to send it to."""

import structlog

from hairtrigger.domain.target import Outgoing, Sent

log = structlog.get_logger()

_SHOWN = 2000  # characters


class Log:
    async def send(self, outgoing: Outgoing) -> Sent:
        body = outgoing.body.decode(errors="replace")
        log.info("delivered to the log", type=outgoing.type, delivery=str(outgoing.delivery_id), data=body[:_SHOWN])
        return Sent("delivered", None, "Written to the log.")
