"""Seal secrets for the database, and open them. Each sealed secret is bound to its row."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json

from hairtrigger.domain.errors import Conflict
from hairtrigger.platform.vault import Vault
from hairtrigger.store.alerts.channels import AlertChannel
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.setup.projects import Project
from hairtrigger.store.setup.triggers import ProjectTrigger, Removal

MASK = "********"  # shown in place of a secret; sent back, it means the secret that is stored
_KEPT_ENDED = 3
SEALED = "sealed"  # a stored configuration holds an object with this one key in place of a secret


def is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {SEALED}


@dataclass(frozen=True)
class SigningSecret:
    """A signing secret, valid until `until`, or without end if that is None.

    It may have ended; `live` returns the valid ones.
    """

    value: str = field(repr=False)
    until: datetime | None = None


MOST_LIVE = 10  # signing secrets of a trigger that are valid at a time


def live(secrets: Sequence[SigningSecret], now: datetime) -> list[str]:
    """Return the values of the secrets that are valid at `now`."""
    return [one.value for one in secrets if one.until is None or one.until > now]


@dataclass(frozen=True)
class Secrets:
    vault: Vault

    def live(self, trigger: ProjectTrigger, now: datetime) -> list[str]:
        return live(self.of_trigger(trigger), now)

    def of_trigger(self, trigger: ProjectTrigger) -> list[SigningSecret]:
        if trigger.secrets is None:
            return []
        return [
            SigningSecret(one["value"], datetime.fromisoformat(one["until"]) if one["until"] else None)
            for one in self._unseal(trigger.secrets, f"trigger/{trigger.id}")
        ]

    def seal_for_trigger(self, trigger_id: UUID, secrets: Sequence[SigningSecret]) -> bytes:
        return self._seal([{"value": s.value, "until": s.until} for s in secrets], f"trigger/{trigger_id}")

    def rotated(self, trigger: ProjectTrigger, value: str, now: datetime, overlap: timedelta) -> bytes:
        """Return the trigger's signing secrets, sealed, with `value` as the newest one, which is valid without end.

        The others that are valid now stay valid for `overlap` at most. A few that have ended are kept, so that users
        can be told if a sender still signs with one. Raise `Conflict` if more than `MOST_LIVE` would be valid, because
        each request is compared with all of them.
        """
        before = [
            SigningSecret(old, min(now + overlap, until) if until else now + overlap)
            for old, until in ((s.value, s.until) for s in self.of_trigger(trigger))
            if old != value
        ]
        valid = [one for one in before if one.until and one.until > now]
        if len(valid) >= MOST_LIVE:
            raise Conflict(
                f"The trigger has {len(valid)} valid signing secrets, and {MOST_LIVE} are the most. Wait until one is "
                "no longer valid, or rotate with an overlap of 0, which ends all others at once."
            )
        ended = [one for one in before if one not in valid][:_KEPT_ENDED]
        return self.seal_for_trigger(trigger.id, [SigningSecret(value), *valid, *ended])

    def sealed_params(self, trigger_id: UUID, params: Mapping[str, Any], secret: Collection[str]) -> dict[str, Any]:
        """Return a configuration as it is stored, with the values of the names in `secret` sealed."""
        bound_to = f"trigger/{trigger_id}/config"
        return {
            name: {SEALED: base64.b64encode(self._seal(value, bound_to)).decode()} if name in secret else value
            for name, value in params.items()
        }

    def params(self, trigger_id: UUID, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a trigger's stored configuration as its user gave it, with its secrets opened."""
        bound_to = f"trigger/{trigger_id}/config"
        return {
            name: self._unseal(base64.b64decode(value[SEALED]), bound_to) if is_sealed(value) else value
            for name, value in config.items()
        }

    def seal_told(self, trigger_id: UUID, token: str) -> bytes:
        """Return a secret that a sender told, sealed for its trigger."""
        return self._seal(token, f"trigger/{trigger_id}/told")

    def told(self, trigger_id: UUID, sealed: bytes) -> str:
        return str(self._unseal(sealed, f"trigger/{trigger_id}/told"))

    def of_connection(self, connection: Connection) -> dict[str, str]:
        return self._mapping(connection.secrets, f"connection/{connection.id}")

    def seal_for_connection(self, connection_id: UUID, secrets: Mapping[str, str]) -> bytes:
        return self._seal(dict(secrets), f"connection/{connection_id}")

    def of_oauth_client(self, org_id: UUID, name: str, sealed: bytes) -> str:
        return str(self._unseal(sealed, f"oauth-client/{org_id}/{name}"))

    def seal_for_oauth_client(self, org_id: UUID, name: str, secret: str) -> bytes:
        return self._seal(secret, f"oauth-client/{org_id}/{name}")

    def of_authorization(self, id_: UUID, sealed: bytes) -> dict[str, str]:
        return self._mapping(sealed, f"authorization/{id_}")

    def seal_for_authorization(self, id_: UUID, secrets: Mapping[str, str]) -> bytes:
        return self._seal(dict(secrets), f"authorization/{id_}")

    def of_connect_link(self, id_: UUID, sealed: bytes) -> dict[str, str]:
        return self._mapping(sealed, f"connect-link/{id_}")

    def seal_for_connect_link(self, id_: UUID, secrets: Mapping[str, str]) -> bytes:
        return self._seal(dict(secrets), f"connect-link/{id_}")

    def of_project(self, project: Project) -> dict[str, str]:
        return self._mapping(project.secrets, f"project/{project.id}")

    def seal_for_project(self, project_id: str, secrets: Mapping[str, str]) -> bytes:
        return self._seal(dict(secrets), f"project/{project_id}")

    def of_alert_channel(self, channel: AlertChannel) -> dict[str, str]:
        return self._mapping(channel.secrets, f"alert-channel/{channel.id}")

    def seal_for_alert_channel(self, channel_id: UUID, secrets: Mapping[str, str]) -> bytes:
        return self._seal(dict(secrets), f"alert-channel/{channel_id}")

    def of_removal(self, removal: Removal) -> dict[str, str]:
        return self._mapping(removal.secrets, f"removal/{removal.project_trigger_id}")

    def seal_for_removal(self, trigger_id: UUID, secrets: Mapping[str, str]) -> bytes:
        return self._seal(dict(secrets), f"removal/{trigger_id}")

    def _seal(self, value: Any, bound_to: str) -> bytes:
        return self.vault.seal(to_json(value), bound_to)

    def _unseal(self, sealed: bytes, bound_to: str) -> Any:
        return from_json(self.vault.unseal(sealed, bound_to))

    def _mapping(self, sealed: bytes, bound_to: str) -> dict[str, str]:
        return {str(name): str(value) for name, value in self._unseal(sealed, bound_to).items()}
