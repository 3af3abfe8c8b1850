"""Rules for requests that bring events. Each is tried on every recorded request."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

from hairtrigger.conformance.asking import NOW, arrived, events
from hairtrigger.conformance.fakes import Recorded
from hairtrigger.conformance.subjects import Subject, require
from hairtrigger.domain.errors import CredentialsRefused, Malformed, Rejected
from hairtrigger.kit.incoming import Request
from hairtrigger.kit.trigger import AppWebhook
from hairtrigger.kit.verify import Scheme, Signature, Verifier

_NOT_SENT = (b"", b"null", b"[]", b"{", b"\xff", b'{"id": "\\ud800"}', b"[" * 10_000)


def _accepts(verifier: Verifier, request: Request, secrets: Sequence[str]) -> bool:
    try:
        verifier(request, secrets)
    except Rejected:
        return False
    return True


def _request(subject: Subject, recorded: Recorded, secret: str | None = None) -> Request:
    body, secret = subject.body(recorded), secret or subject.made().signing_secrets[0]
    query = urlencode({recorded.query: secret}) if recorded.query else ""
    return arrived(body, subject.headers(recorded, body, secret), query=query)


def becomes_its_events(subject: Subject, recorded: Recorded) -> None:
    request = _request(subject, recorded)
    subject.verifier(recorded)(request, [subject.made().signing_secrets[0]])
    found, expected = (
        events(subject.trigger(recorded.trigger), request, recorded.config),
        recorded.expected(request.body),
    )
    require(found == expected, f"The request became {found}, and not {expected}.")
    require(all(len(one.key) > 0 for one in found), "An event has an empty key.")


def is_the_same_event_again(subject: Subject, recorded: Recorded) -> None:
    request, definition = _request(subject, recorded), subject.trigger(recorded.trigger)
    again = replace(request, received_at=NOW + timedelta(hours=1))
    require(
        events(definition, request, recorded.config) == events(definition, again, recorded.config),
        "The same request at another time became another event, so a repeat would start the workflow twice.",
    )


def is_refused_without_the_right_secret(subject: Subject, recorded: Recorded) -> None:
    request, verifier = _request(subject, recorded), subject.verifier(recorded)
    wrong: list[list[str]] = [[], [""], [" "], ["whsec_"], ["other"], [subject.made().signing_secrets[1]]]
    taken = [secrets for secrets in wrong if _accepts(verifier, request, secrets)]
    require(not taken, f"The request is taken with the secrets {taken}.")


def is_taken_while_its_secret_is_replaced(subject: Subject, recorded: Recorded) -> None:
    first, second = subject.made().signing_secrets
    require(
        _accepts(subject.verifier(recorded), _request(subject, recorded), [second, first]),
        "The request is refused while a newer secret is valid beside its own.",
    )


def is_refused_without_its_signature(subject: Subject, recorded: Recorded) -> None:
    body, (first, second) = subject.body(recorded), subject.made().signing_secrets
    verifier = subject.verifier(recorded)
    require(not _accepts(verifier, arrived(body, recorded.headers), [first]), "A request without a signature is taken.")
    foreign = _request(subject, recorded, second)
    require(not _accepts(verifier, foreign, [first]), "A request that another secret signed is taken.")


def is_refused_when_altered(subject: Subject, recorded: Recorded) -> None:
    verifier = subject.verifier(recorded)
    if not (isinstance(verifier, Signature) if recorded.signs_body is None else recorded.signs_body):
        return
    request = _request(subject, recorded)
    body = request.body
    flipped = [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in (0, len(body) // 2, len(body) - 1)]
    for other in (*flipped, b"", body + b" ", body[:-1], body + body):
        taken = _accepts(verifier, replace(request, body=other), [subject.made().signing_secrets[0]])
        require(not taken, "A request with an altered body is taken.")


def is_refused_long_afterwards(subject: Subject, recorded: Recorded) -> None:
    verifier = subject.verifier(recorded)
    timed = recorded.timed
    if timed is None:
        timed = isinstance(verifier, Scheme) and verifier.is_timed
    late = replace(_request(subject, recorded), received_at=NOW + timedelta(hours=1))
    taken = _accepts(verifier, late, [subject.made().signing_secrets[0]])
    require(taken is not timed, f"A request of an hour ago is {'taken' if taken else 'refused'}.")


def needs_an_id(subject: Subject, recorded: Recorded) -> None:
    """An id that is empty would make one event of all such requests."""
    body = subject.body(recorded)
    for draft in recorded.expected(body):
        quoted = f'"{draft.key}"'.encode()
        if quoted not in body:
            continue
        request = arrived(body.replace(quoted, b'""'), recorded.headers)
        with suppress(Malformed):
            found = events(subject.trigger(recorded.trigger), request, recorded.config)
            require(not found, f"A request whose id is empty became {found}.")


def takes_nothing_else_for_an_event(subject: Subject, recorded: Recorded) -> None:
    secret = subject.made().signing_secrets[0]
    for body in _NOT_SENT:
        request = arrived(body, subject.headers(recorded, body, secret))
        found: list[object] = []
        with suppress(Malformed):
            found += events(subject.trigger(recorded.trigger), request, recorded.config)
        if subject.provider.app:
            with suppress(Malformed):
                found += subject.provider.app.accounts(request)
        require(not found or recorded.any_body, f"The body {body[:20]!r} became {found}.")


async def is_for_an_account_of_its_connection(subject: Subject, recorded: Recorded) -> None:
    definition, app = subject.trigger(recorded.trigger), subject.provider.app
    if not isinstance(definition, AppWebhook) or app is None:
        return
    fake = subject.made()
    own = await definition.accounts(subject.question(definition, fake))
    named = app.accounts(_request(subject, recorded))
    require(set(own) & set(named), f"The connection's accounts are {own}, and the request is for {named}.")
    try:
        await definition.accounts(subject.question(definition, fake, refused=True))
    except CredentialsRefused:
        return
    require(False, "Accounts are told to a connection with wrong credentials.")


RULES = (
    becomes_its_events,
    is_the_same_event_again,
    is_refused_without_the_right_secret,
    is_taken_while_its_secret_is_replaced,
    is_refused_without_its_signature,
    is_refused_when_altered,
    is_refused_long_afterwards,
    needs_an_id,
    takes_nothing_else_for_an_event,
    is_for_an_account_of_its_connection,
)
