"""A real mail server (aiosmtpd) that keeps what it takes."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "postman", "letters & stamps"


@dataclass
class MailBox:
    """The server, and what it was given."""

    port: int = 0
    refuses: frozenset[str] = frozenset()
    broken: bool = False
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        if address in self.refuses:
            return "550 No such person lives here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.broken:
            return "451 Try again later"
        content = cast("bytes", envelope.original_content)
        message = message_from_bytes(content, policy=default)
        self.raw.append(content)
        self.taken.append((list(envelope.rcpt_tos), message))
        self.over_tls.append(session.ssl is not None or _is_encrypted(server))
        return "250 Taken"

    def log_in(self, _: SMTP, __: Session, ___: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        if right:
            self.users.append(mechanism)
        return AuthResult(success=right, handled=False)


def _is_encrypted(server: SMTP) -> bool:
    return server.transport is not None and server.transport.get_extra_info("sslcontext") is not None


@asynccontextmanager
async def a_mail_server(
    tls: ssl.SSLContext | None = None, *, starttls: bool = False, login: bool = False, **more: Any
) -> AsyncIterator[MailBox]:
    """Provide a mail server, with TLS from the start or after STARTTLS, which wants a login if `login` is set."""
    box = MailBox()

    def made() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of passwords in clear text, and can't see TLS from the start
            return SMTP(
                box,
                hostname="mail.test",
                tls_context=tls if starttls else None,
                require_starttls=starttls,
                auth_required=login,
                auth_require_tls=starttls,
                authenticator=box.log_in,
                **more,
            )

    loop = asyncio.get_running_loop()
    listener = await loop.create_server(made, "127.0.0.1", 0, ssl=None if starttls else tls)
    box.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield box
