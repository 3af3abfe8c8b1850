"""The list of all rules for a provider, each as a case that can be run."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from hairtrigger.conformance import declarations, polls, pushes, subscriptions
from hairtrigger.conformance.subjects import Subject, subject
from hairtrigger.kit.trigger import Webhook

__all__ = ["Case", "Subject", "cases", "subject"]

Rule = Callable[..., Awaitable[None] | None]


@dataclass(frozen=True)
class Case:
    """A rule that is tried on a part of a provider. `id` is such as `stripe/on_invoice_paid is_made_once`."""

    id: str
    rule: Rule
    arguments: tuple[Any, ...]

    async def run(self) -> None:
        """Try the rule. Raise `AssertionError` if it does not hold, with a message that says what was seen."""
        result = self.rule(*self.arguments)
        if isawaitable(result):
            await result


def cases(subject: Subject) -> Iterator[Case]:
    """Yield all rules for this provider."""
    id_ = subject.provider.id
    for of_provider in declarations.OF_PROVIDERS:
        yield _case(id_, of_provider, subject)
    for trigger in subject.provider.triggers:
        for of_trigger in declarations.OF_TRIGGERS:
            yield _case(f"{id_}/{trigger.id}", of_trigger, subject, trigger)
    for number, recorded in enumerate(subject.recorded):
        for of_request in pushes.RULES:
            yield _case(f"{id_}/{recorded.trigger} {number}", of_request, subject, recorded)
    for pushed in subject.pushed:
        if isinstance(pushed, Webhook) and pushed.subscription:
            for of_subscription in subscriptions.RULES:
                yield _case(f"{id_}/{pushed.id}", of_subscription, subject, pushed)
    for polled in subject.polled:
        for of_poll in polls.RULES:
            yield _case(f"{id_}/{polled.id}", of_poll, subject, polled)


def _case(on: str, rule: Rule, *arguments: Any) -> Case:
    return Case(f"{on} {rule.__name__}", rule, arguments)
