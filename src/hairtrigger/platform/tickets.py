"""Texts that name a row of ours and can't be made by others: the `state` of OAuth, and links to pages."""

import base64
import hmac
from dataclasses import dataclass, field
from uuid import UUID

_SIZE = 24  # bytes of the proof
_LENGTH = 54  # characters of 40 bytes in base64


@dataclass(frozen=True)
class Tickets:
    """Makes and reads tickets of one kind. Tickets of another kind, or of another installation, are not read."""

    key: bytes = field(repr=False)
    kind: str

    def of(self, id_: UUID) -> str:
        return base64.urlsafe_b64encode(id_.bytes + self._proof(id_.bytes)).decode().rstrip("=")

    def read(self, ticket: str) -> UUID | None:
        """Return the id of the row that a ticket names, or None if the ticket is not one of ours."""
        if len(ticket) != _LENGTH or not ticket.isascii():
            return None
        try:
            raw = base64.b64decode(ticket + "==", altchars=b"-_", validate=True)
        except ValueError:
            return None
        id_ = UUID(bytes=raw[:16])
        return id_ if hmac.compare_digest(self.of(id_), ticket) else None

    def _proof(self, id_: bytes) -> bytes:
        return hmac.digest(self.key, self.kind.encode() + b"\0" + id_, "sha256")[:_SIZE]
