"""Send e-mail through the operator's SMTP server (RFC 5321): over TLS from the start, after STARTTLS, or without it."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Literal

import aiosmtplib

from hairtrigger.domain.errors import HairtriggerError

Tls = Literal["starttls", "tls", "none"]
PORTS: dict[Tls, int] = {"starttls": 587, "tls": 465, "none": 25}
_AT_MOST = timedelta(seconds=30)
_KEPT = 300  # characters of an answer that are told
_NO_SMTP = "broke off, or speaks no SMTP."


class MailFailed(HairtriggerError):
    """The e-mail could not be sent."""


@dataclass(frozen=True)
class MailServer:
    host: str
    port: int
    tls: Tls
    sender: str
    """The address that e-mail comes from, with or without a name before it."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    authorities: Path | None = None
    """A file of certificates of authorities that are trusted besides the usual ones."""

    @property
    def domain(self) -> str:
        """Return the domain of the sender's address, with which the service introduces itself to the server."""
        return parseaddr(self.sender)[1].rpartition("@")[2]

    async def send(self, message: EmailMessage, recipients: Sequence[str]) -> str:
        """Send a message from the sender's address, and return a sentence on what the server said, also of refused
        recipients.

        Raise `MailFailed` if the server can't be used, or accepts the message for no recipient.
        """
        message["From"] = self.sender
        try:
            async with asyncio.timeout(_AT_MOST.total_seconds()), self._client() as client:
                refused, said = await client.send_message(
                    message, sender=parseaddr(self.sender)[1], recipients=list(recipients)
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            raise MailFailed(f"No recipient was accepted. {_refusal(first.recipient, first)}") from error
        except aiosmtplib.SMTPResponseException as error:
            said = f"answered {error.code} {error.message[:_KEPT]}" if error.code > 0 else _NO_SMTP
            raise MailFailed(f"The mail server {self.host} {said}") from error
        except (TimeoutError, aiosmtplib.SMTPTimeoutError):
            raise MailFailed(f"The mail server {self.host} did not answer in time.") from None
        except (OSError, aiosmtplib.SMTPException) as error:
            raise MailFailed(self._failure(error)) from error
        told = f"The mail server took it: {said[:_KEPT]}"
        if refused:
            told += f" It refused {'; '.join(_refusal(one, answer) for one, answer in refused.items())}"
        return told

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            local_hostname=self.domain,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            tls_context=None if self.tls == "none" else self._context(),
            timeout=_AT_MOST.total_seconds(),
        )

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.authorities:
            context.load_verify_locations(self.authorities)
        return context

    def _failure(self, error: Exception) -> str:
        causes = (error, error.__cause__, error.__context__)
        if found := next((one for one in causes if isinstance(one, ssl.SSLError)), None):
            return f"No secure connection to the mail server {self.host}: {found.reason or found}."
        if isinstance(error, aiosmtplib.SMTPServerDisconnected):
            return f"The mail server {self.host} {_NO_SMTP}"
        if any(isinstance(one, OSError) for one in causes):
            return f"The mail server {self.host}:{self.port} can't be reached."
        return f"The mail server {self.host} can't be used: {str(error)[:_KEPT]}"


def _refusal(recipient: str, answer: aiosmtplib.SMTPResponse | aiosmtplib.SMTPRecipientRefused) -> str:
    return f"{recipient}: The mail server answered {answer.code} {answer.message[:_KEPT]}"
