"""The service's own log as a target, with which users see what would be sent before there is a real target."""

import structlog

from hairtrigger.domain.target import Outgoing, Sent

log = structlog.get_logger()

_SHOWN = 2000  # characters


class Log:
    """A target that writes each event to the service's log."""

    async def send(self, outgoing: Outgoing) -> Sent:
        body = outgoing.body.decode(errors="replace")
        log.info("delivered to the log", type=outgoing.type, delivery=str(outgoing.delivery_id), data=body[:_SHOWN])
        return Sent("delivered", None, "Written to the log.")
