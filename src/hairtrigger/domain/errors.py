"""The errors that the service raises, one class for each meaning that the calling code can act on.

The docstring of a class is the message of its errors that are given no other. The classes do not know about HTTP;
`api/errors.py` maps them to statuses.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Issue:
    """One fault in what a caller sent. `path` leads to the faulty part, such as `("secrets", "api_key")`."""

    path: tuple[str | int, ...]
    message: str
    code: str = "invalid"


class HairtriggerError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class NotFound(HairtriggerError):
    """There is no such thing, or it belongs to another organisation."""


class NoSuchTrigger(NotFound):
    """There is no such project trigger."""


class NoSuchConnection(NotFound):
    """There is no such connection."""


class NoSuchProject(NotFound):
    def __init__(self, project_id: str) -> None:
        super().__init__(f"There is no project '{project_id}'.")


class Conflict(HairtriggerError):
    """This contradicts what is already there."""


class Invalid(HairtriggerError):
    """The request was understood, and what it asks for is not allowed."""

    def __init__(self, message: str | None = None, *issues: Issue) -> None:
        super().__init__(message or (issues[0].message if issues else None))
        self.issues = issues


def sentence(error: HairtriggerError) -> str:
    """Return the error's message for a user.

    To the message of an `Invalid` are added the paths and messages of its first three issues, unless the message is
    that of the first issue.
    """
    if not isinstance(error, Invalid) or not error.issues:
        return error.message
    faults = [f"{'.'.join(map(str, one.path)) or 'it'}: {one.message}" for one in error.issues[:3]]
    return error.message if error.message in faults[0] else f"{error.message} {'; '.join(faults)}"


# The paths of these issues begin inside the configuration, because each API has its own name for the configuration.
class InvalidConfig(Invalid):
    """The trigger's configuration is not valid."""

    def inside(self, name: str) -> Invalid:
        """Return this error as an `Invalid` whose paths begin with `name`, the field that holds the configuration in
        the request.
        """
        return Invalid(self.message, *(Issue((name, *one.path), one.message, one.code) for one in self.issues))


class Malformed(HairtriggerError):
    """The request could not be read."""


class NotReady(HairtriggerError):
    """Something has to be set up first."""


class Unauthenticated(HairtriggerError):
    """The caller is unknown, because the credentials are missing, wrong or expired."""


class Forbidden(HairtriggerError):
    """The caller is known, and may not do this."""


class Rejected(HairtriggerError):
    """The request is not authentic. Its signature or token is missing or wrong."""


class TooLarge(HairtriggerError):
    """The body is larger than this service accepts."""


class RateLimited(HairtriggerError):
    """Too many requests; try again later."""

    def __init__(self, message: str | None = None, *, retry_after: timedelta = timedelta(seconds=60)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Broken(HairtriggerError):
    """This broke inside the service. The fault is the service's; its log says more."""


class Unavailable(HairtriggerError):
    """The service can't store anything right now; nothing was accepted. Try again."""

    def __init__(self, message: str | None = None, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DocumentNeeded(Unavailable):
    """A document of the sender must be fetched first. Send the request again."""

    def __init__(self, url: str) -> None:
        super().__init__(retry_after=timedelta(seconds=5))
        self.url = url


class WrongMethod(HairtriggerError):
    """The request's method is not one that this webhook takes."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"This webhook takes {', '.join(allowed)}.")
        self.allowed = allowed


class NotWanted(HairtriggerError):
    """The request is authentic, but not what the trigger listens for."""


class ProviderFailed(HairtriggerError):
    """The provider refused or could not be reached."""

    def __init__(self, message: str | None = None, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CallRefused(ProviderFailed):
    """The provider refused the call for what it asks, so the same call would be refused again."""


class CredentialsRefused(ProviderFailed):
    """The provider no longer accepts the connection's credentials. Connect the account again."""


class AccessDenied(CredentialsRefused):
    """The provider knows the connection's credentials, and does not allow this with them."""


class AccessEnded(CredentialsRefused):
    """The access of this connection has ended. Connect the account again."""


class MissingAtProvider(ProviderFailed):
    """The provider answered 404. What the trigger points at does not exist there."""


class GoneAtProvider(CallRefused, MissingAtProvider):
    """The provider answered 410. What the call asks for is no longer there."""


class ParseKilled(ProviderFailed):
    """Reading the answer takes more time or memory than it may."""


class PollFailed(HairtriggerError):
    """The poll did not finish; its cursor stays where it was."""

    def __init__(self, message: str | None = None, console: tuple[str, ...] = (), kind: str | None = None) -> None:
        super().__init__(message)
        self.console = console
        self.kind = kind  # for polling code: the limit that it reached, or that it threw an error
