"""A provider with its fake and its recorded requests: what the rules are tried on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from hairtrigger.conformance.asking import NOW, nothing_known, question
from hairtrigger.conformance.fakes import Fake, Recorded, Unasked
from hairtrigger.kit.trigger import AppWebhook, Cursor, Known, Polling, Provider, Question, Trigger, Webhook
from hairtrigger.kit.verify import Verifier


class Broken(AssertionError):
    """A rule that a provider breaks. The message says which, and what was seen."""


def require(holds: object, message: str) -> None:
    if not holds:
        raise Broken(message)


@dataclass(frozen=True)
class Subject:
    provider: Provider
    fake: type[Fake] = Unasked
    recorded: Sequence[Recorded] = ()
    folder: Path | None = None

    def made(self) -> Fake:
        return self.fake()

    def trigger(self, id_: str) -> Trigger:
        found = self.provider.trigger(id_)
        if found is None:
            raise Broken(f"A request is recorded for the trigger '{id_}', which '{self.provider.id}' does not have.")
        return found

    def body(self, recorded: Recorded) -> bytes:
        """Return the body of a recorded request. Raise `Broken` if its file is not there."""
        if recorded.body is not None:
            return recorded.body
        file = (self.folder or Path()) / "recorded" / (recorded.file or f"{recorded.trigger}.json")
        require(file.is_file(), f"There is no recorded request at {file}.")
        return file.read_bytes()

    def headers(self, recorded: Recorded, body: bytes, secret: str) -> dict[str, str]:
        sign = recorded.sign or self.made().signed
        return {**recorded.headers, **sign(body, secret, NOW)}

    def verifier(self, recorded: Recorded) -> Verifier:
        definition = self.trigger(recorded.trigger)
        if isinstance(definition, AppWebhook) and self.provider.app:
            return self.provider.app.verify
        require(isinstance(definition, Webhook), f"'{recorded.trigger}' takes no requests, and one is recorded for it.")
        assert isinstance(definition, Webhook)
        return definition.verifier(definition.config.model_validate(recorded.config))

    def config(self, trigger: Trigger) -> Mapping[str, Any]:
        """Return the configuration with which the fake is asked: that of the fake, or of a recorded request."""
        recorded = [one.config for one in self.recorded if one.trigger == trigger.id]
        return self.fake.configs.get(trigger.id) or next(iter(recorded), {})

    def question(
        self,
        trigger: Trigger,
        fake: Fake,
        *,
        cursor: Cursor | None = None,
        at: datetime = NOW,
        known: Known = nothing_known,
        refused: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> Question[Any]:
        """Return a question to the fake. If it is to be `refused`, its credentials are wrong."""
        held = dict(fake.secrets)
        if refused:
            held |= {name: f"{held.get(name, '')}-wrong" for name in self.provider.auth.secrets}
        return question(
            *(self.provider, trigger, fake.app, self.config(trigger) if config is None else config, held),
            hosts=fake.hosts,
            cursor=cursor,
            at=at,
            known=known,
        )

    @property
    def pushed(self) -> list[Webhook[Any] | AppWebhook[Any]]:
        return [one for one in self.provider.triggers if isinstance(one, Webhook | AppWebhook)]

    @property
    def polled(self) -> list[Polling[Any]]:
        return [one for one in self.provider.triggers if isinstance(one, Polling)]


def subject(provider: Provider, module: ModuleType | None) -> Subject:
    """Return a provider with what the module of its fake holds."""
    if module is None:
        return Subject(provider)
    fake = getattr(module, "Fake", None)
    own = fake if isinstance(fake, type) and issubclass(fake, Fake) else Unasked
    folder = Path(module.__file__).parent if module.__file__ else None
    return Subject(provider, own, tuple(getattr(module, "RECORDED", ())), folder)
