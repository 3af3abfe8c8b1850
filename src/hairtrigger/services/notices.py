"""Make the notices of what services do. Each is stored in the transaction of what happened, and told afterwards."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from hairtrigger.domain.operational import Notice, OperationalType
from hairtrigger.store.delivery.deliveries import Attempt
from hairtrigger.store.events.outcomes import Outcome


def of_disabled(outcomes: Iterable[Outcome]) -> list[Notice]:
    """Return a notice for each of these outcomes, which say that the service itself has disabled a trigger."""
    return [
        Notice(
            one.org_id,
            OperationalType.TRIGGER_DISABLED,
            str(one.project_trigger_id),
            one.at,
            one.detail,
            one.project_trigger_id,
            details={"code": one.code},
        )
        for one in outcomes
        if one.org_id
    ]


def of_refused_items(outcomes: Iterable[Outcome]) -> list[Notice]:
    """Return a notice for each of these outcomes, which are of polls that brought items that made no events."""
    type_ = OperationalType.TRIGGER_ITEMS_REFUSED
    return [
        Notice(one.org_id, type_, str(one.project_trigger_id), one.at, one.detail, one.project_trigger_id)
        for one in outcomes
        if one.org_id
    ]


def of_floods(outcomes: Iterable[Outcome], many: int) -> list[Notice]:
    """Return the notices of polls that brought more than `many` events."""
    return [
        Notice(
            one.org_id,
            OperationalType.TRIGGER_FLOODED,
            str(one.project_trigger_id),
            one.at,
            one.detail,
            one.project_trigger_id,
            count=one.events,
        )
        for one in outcomes
        if one.org_id and one.events > many
    ]


def of_dead_letters(attempts: Sequence[Attempt]) -> list[Notice]:
    """Return one notice for each trigger whose deliveries have become dead letters with these attempts.

    Deliveries to another project than that of their event have a notice for each such project.
    """
    about: dict[tuple[UUID | None, str], list[Attempt]] = {}
    for one in attempts:
        if one.dead:
            about.setdefault((one.project_trigger_id, one.message.project_id), []).append(one)
    return [
        Notice(
            dead[-1].org_id,
            OperationalType.DELIVERY_DEAD,
            str(trigger_id or project_id),
            dead[-1].finished_at,
            dead[-1].dead or "",
            trigger_id,
            count=len(dead),
            ids=[one.message.delivery_id for one in dead],
            details={"project_id": project_id},
        )
        for (trigger_id, project_id), dead in about.items()
    ]
