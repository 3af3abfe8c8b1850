"""Manage organisations, users with a password and API keys for programs, and find the caller of an API request."""

import hashlib
import re
import secrets
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pwdlib import PasswordHash

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.domain.errors import Conflict, Forbidden, Invalid, Issue, NotFound, Unauthenticated, Unavailable
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.thread_queue import ThreadQueue
from hairtrigger.services.guessing import Guessing
from hairtrigger.store import accounts, quotas
from hairtrigger.store.accounts import ApiKey, Organization, User
from hairtrigger.store.database import Store
from hairtrigger.store.transaction import Transaction
from hairtrigger.store.upkeep import erasures, periodic_tasks
from hairtrigger.store.upkeep.erasures import Contents, Erasure

TOKEN_LIFE = timedelta(hours=12)
_KEY_PREFIX = "htk_"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_FIRST_LOGIN = "first login"  # a task that is stored until the first login has been shown
_COUNTING = timedelta(milliseconds=500)
_passwords = PasswordHash.recommended()


def _turns() -> ThreadQueue:
    """Return a queue for password hashes.

    Two run at a time, because each needs 64 MiB; up to 16 more wait, for ten seconds at most.
    """
    return ThreadQueue(2, waiting=16, patience=timedelta(seconds=10), refusal="Too many log in at once. Try again.")


@dataclass(frozen=True, kw_only=True)
class Accounts:
    store: Store
    clock: Clock
    token_key: bytes = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    hashing: ThreadQueue = field(default_factory=_turns)
    guessing: Guessing = field(default_factory=Guessing)

    async def create_organization(
        self, name: str, email: str, password: str, *, operator: bool = False, first: bool = False
    ) -> tuple[Organization, User]:
        """Create an organisation with its first user, and return both.

        With `first`, the login of this user is still to be shown (`showing_first_login`). Raise `Conflict` if the
        e-mail address is taken, and `Invalid` if it is not an e-mail address.
        """
        email = _address(email)
        now = self.clock.now()
        organization = Organization(new_id(now), name, now)
        hashed = await self.hashing.run(partial(_passwords.hash, password))
        user = User(new_id(now), organization.id, email, hashed, operator, now)
        async with self.store.transaction() as tx:
            await accounts.add_organization(tx, organization)
            if not await accounts.add_user(tx, user):
                raise Conflict(f"There already is a user {email}.")
            if first:
                left = {"org_id": str(organization.id), "user_id": str(user.id)}
                await periodic_tasks.leave(tx, _FIRST_LOGIN, left, now)
        return organization, user

    async def add_user(self, org_id: UUID, email: str, password: str, *, operator: bool = False) -> User:
        """Create and return a further user of an organisation.

        Raise `Conflict` if the e-mail address is taken, and `Invalid` if it is not an e-mail address.
        """
        email = _address(email)
        hashed = await self.hashing.run(partial(_passwords.hash, password))
        now = self.clock.now()
        user = User(new_id(now), org_id, email, hashed, operator, now)
        async with self.store.transaction() as tx:
            if await erasures.get(tx, str(org_id)):
                raise Conflict("The organisation is being deleted.")
            if not await accounts.add_user(tx, user):
                raise Conflict(f"There already is a user {email}.")
        return user

    async def users(self) -> list[tuple[User, Organization]]:
        """Return all users of the service, oldest first, each with the user's organisation."""
        async with self.store.transaction() as tx:
            return await accounts.users(tx)

    async def organizations(self) -> list[Organization]:
        async with self.store.transaction() as tx:
            return await accounts.organizations(tx)

    async def reset_password(self, email: str, password: str) -> User:
        """Give a user another password, and return the user. Raise `NotFound` if no user has this e-mail address."""
        hashed = await self.hashing.run(partial(_passwords.hash, password))
        async with self.store.transaction() as tx:
            user = await self._user(tx, email)
            await accounts.set_password(tx, user.id, hashed)
        return user

    async def remove_user(self, email: str) -> User:
        """Delete a user and the user's API keys, and return the user.

        Raise `NotFound` if no user has this e-mail address, and `Conflict` for the only user of an organisation, and
        for the only operator of the service.
        """
        async with self.store.transaction() as tx:
            user = await self._user(tx, email)
            await self._delete_user(tx, user)
        return user

    async def users_of(self, caller: Caller) -> list[User]:
        """Return the users of the caller's organisation, oldest first."""
        async with self.store.transaction() as tx:
            return await accounts.users_of(tx, caller.org_id)

    async def delete_user(self, caller: Caller, user_id: UUID) -> None:
        """Delete a user of the caller's organisation and the user's API keys. Other things stay, because the users
        share them.

        Raise `NotFound` for a user of another organisation, `Forbidden` if the caller is an API key, and `Conflict` for
        the only user of the organisation, because no login to it would be left, and for the only operator of the
        service.
        """
        async with self.store.transaction() as tx:
            user = await accounts.user(tx, user_id)
            if not user or user.org_id != caller.org_id:
                raise NotFound("There is no such user.")
            caller.require_login()
            await self._delete_user(tx, user)

    async def _delete_user(self, tx: Transaction, user: User) -> None:
        await accounts.lock_organization(tx, user.org_id)
        if len(await accounts.users_of(tx, user.org_id)) == 1:
            raise Conflict("This is the only user of the organisation. Add another one first, or delete it as a whole.")
        await accounts.remove_keys_of(tx, user.id)
        await accounts.remove_user(tx, user.id)
        if user.operator and not await accounts.any_operator(tx):
            raise Conflict("This is the only user that operates the service. Add another operator first.")

    async def contents(self, org_id: UUID) -> Contents:
        """Return what the deletion of an organisation would delete, or has still to delete.

        Raise `NotFound` if there is no such organisation.
        """
        async with self.store.transaction() as tx:
            if not await accounts.organization(tx, org_id):
                raise NotFound("There is no such organisation.")
            return await erasures.contents(tx, org_id, None, _COUNTING)

    async def deletion(self, org_id: UUID) -> Erasure | None:
        """Return the deletion of an organisation that is under way, or None."""
        async with self.store.transaction() as tx:
            return await erasures.get(tx, str(org_id))

    async def delete_organization(self, org_id: UUID, name: str, requested_by: str) -> Erasure:
        """Begin to delete an organisation with all that is its own, and return the deletion, also if it had begun
        before.

        Its users and API keys are gone at once. A process of the service deletes the rest later. `name` is its name, as
        a confirmation. Raise `NotFound` if there is no such organisation, and `Conflict` if its name is another one, or
        for the organisation that operates the service.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            found = await accounts.organization(tx, org_id)
            if not found:
                raise NotFound("There is no such organisation.")
            await accounts.lock_organization(tx, org_id)
            if begun := await erasures.get(tx, str(org_id)):
                return begun
            if found.name != name:
                raise Conflict(f"To confirm the deletion, give the organisation's name, which is not '{name}'.")
            if await accounts.has_operator(tx, org_id):
                raise Conflict("This organisation operates the service. It can't be deleted.")
            begun = Erasure(
                id=str(org_id),
                org_id=org_id,
                project_id=None,
                requested_by=requested_by,
                requested_at=now,
                step="definitions",
                run_at=now,
            )
            await erasures.add(tx, begun)
            await accounts.remove_logins(tx, org_id)
        return begun

    async def may_delete(self, caller: Caller, org_id: UUID) -> None:
        """Raise an error unless the caller has logged in, to this organisation or as an operator of the service.

        The error is `NotFound` for another organisation, and `Forbidden` for an API key.
        """
        if caller.org_id != org_id and not caller.operator:
            raise NotFound("There is no such organisation.")
        caller.require_login()

    async def _user(self, tx: Transaction, email: str) -> User:
        user = await accounts.user_by_email(tx, email.strip().lower())
        if not user:
            raise NotFound(f"There is no user {email}.")
        return user

    async def create_first(self, name: str, email: str) -> None:
        """Create an organisation with an operator, unless the service has a user already.

        The operator's password is random and not kept, so another must be set before the login is shown.
        """
        async with self.store.transaction() as tx:
            if await accounts.any_user(tx):
                return
        with suppress(Conflict):  # another process was first
            await self.create_organization(name, email, secrets.token_urlsafe(), operator=True, first=True)

    @asynccontextmanager
    async def showing_first_login(self) -> AsyncIterator[Caller | None]:
        """Yield the operator whose first login is to be shown, or None if there is none that this process has to show.

        There is none if the login has been shown, or if another process is showing it. It counts as shown when the
        block of this context manager has ended without an error.
        """
        async with self.store.transaction() as tx:
            left = await periodic_tasks.take(tx, _FIRST_LOGIN)
            scopes = frozenset(SCOPES)
            yield Caller(UUID(left["org_id"]), UUID(left["user_id"]), scopes, operator=True) if left else None

    async def set_password(self, caller: Caller, password: str) -> None:
        hashed = await self.hashing.run(partial(_passwords.hash, password))
        async with self.store.transaction() as tx:
            await accounts.set_password(tx, caller.id, hashed)

    async def organization(self, org_id: UUID) -> Organization:
        async with self.store.transaction() as tx:
            found = await accounts.organization(tx, org_id)
        if not found:
            raise NotFound("There is no such organisation.")
        return found

    async def log_in(self, email: str, password: str, place: str = "") -> str:
        """Return an access token that is valid for `TOKEN_LIFE`.

        `place` is where the login comes from; it is empty if that is unknown. Raise `Unauthenticated` if the e-mail
        address or the password is wrong, and `RateLimited` if too many passwords were wrong or too many logins are
        under way.
        """
        email = email.strip().lower()
        guess = self.guessing.begin(email, place, self.clock.now())
        try:
            async with self.store.transaction() as tx:
                user = await accounts.user_by_email(tx, email)
            matches = await self.hashing.run(partial(_matches, password, user.password_hash if user else None))
        except BaseException:
            self.guessing.was_none(guess)
            raise
        if not user or not matches:
            self.guessing.was_wrong(guess)
            raise Unauthenticated("The e-mail address or the password is wrong.")
        self.guessing.was_right(guess)
        return self._token(user.id)

    async def by_token(self, token: str) -> Caller:
        async with self.store.transaction() as tx:
            user = await accounts.user(tx, self._user_in(token))
        if not user:
            raise Unauthenticated("The access token's user no longer exists.")
        return Caller(user.org_id, user.id, frozenset(SCOPES), user.operator)

    async def by_key(self, value: str) -> Caller:
        if not _is_key(value):
            raise Unauthenticated("The provided API key is invalid.")
        now = self.clock.now()
        async with self.store.transaction() as tx:
            key = await accounts.live_key(tx, _digest(value), now)
            if key and not accounts.used_recently(key, now):
                await accounts.mark_used(tx, key.id, now)
        if not key:
            raise Unauthenticated("The provided API key is invalid.")
        return Caller(key.org_id, key.created_by, frozenset(key.scopes), key_id=key.id)

    async def by_bearer(self, value: str) -> Caller:
        """Return the caller whose API key or access token this is. Both are sent as `Authorization: Bearer …`.

        Raise `Unauthenticated` if it is not valid.
        """
        return await (self.by_key(value) if value.startswith(_KEY_PREFIX) else self.by_token(value))

    async def create_key(
        self, caller: Caller, name: str, scopes: Iterable[str], expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Create an API key, and return it with its value, which is not stored.

        Raise `Forbidden` if the caller lacks one of the scopes, `Invalid` if `expires_at` has passed, and `QuotaFull`
        if the organisation has too many keys.
        """
        scopes = list(dict.fromkeys(scopes))
        if not caller.scopes.issuperset(scopes):
            raise Forbidden("An API key can't have a scope that its creator lacks.")
        now = self.clock.now()
        if expires_at and expires_at <= now:
            raise Invalid(None, Issue(("expires_at",), f"This time has passed: it is {now:%Y-%m-%d %H:%M:%S} UTC."))
        value = _new_key()
        key = ApiKey(
            id=new_id(now),
            org_id=caller.org_id,
            name=name,
            prefix=value[: len(_KEY_PREFIX) + 4],
            scopes=scopes,
            created_by=caller.id,
            created_at=now,
            last_used_at=None,
            expires_at=expires_at,
        )
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits, Quota.API_KEYS):
            await accounts.add_key(tx, key, _digest(value))
        return key, value

    async def keys(self, org_id: UUID) -> list[ApiKey]:
        async with self.store.transaction() as tx:
            return await accounts.keys(tx, org_id)

    async def remove_key(self, org_id: UUID, key_id: UUID) -> None:
        async with self.store.transaction() as tx:
            if not await accounts.remove_key(tx, org_id, key_id):
                raise NotFound("There is no such API key.")

    def _token(self, user_id: UUID) -> str:
        now = self.clock.now()
        claims = {"sub": str(user_id), "iat": int(now.timestamp()), "exp": int((now + TOKEN_LIFE).timestamp())}
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(self.token_key))

    def _user_in(self, token: str) -> UUID:
        try:
            claims = jwt.decode(token, OctKey.import_key(self.token_key), algorithms=["HS256"]).claims
            if claims["exp"] <= self.clock.now().timestamp():
                raise Unauthenticated("The access token has expired. Log in again.")
            return UUID(claims["sub"])
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise Unauthenticated("The access token is invalid.") from error


def _address(email: str) -> str:
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise Invalid(None, Issue(("email",), "This is not an e-mail address."))
    return email


def _matches(password: str, hashed: str | None) -> bool:
    """Return whether the password has this hash.

    Without a hash, return False after the same time, so that the time does not show which e-mail addresses exist.
    """
    instead = _hash_of_no_user()
    return _passwords.verify(password, hashed or instead) and hashed is not None


@cache
def _hash_of_no_user() -> str:
    return _passwords.hash(secrets.token_urlsafe())


def _new_key() -> str:
    body = secrets.token_urlsafe(32)
    return f"{_KEY_PREFIX}{body}{_checksum(body)}"


def _is_key(value: str) -> bool:
    """Return whether a text has the form and the checksum of an API key.

    With these, a mistyped key is refused without a query, and a secret scanner recognises real keys.
    """
    body, checksum = value[len(_KEY_PREFIX) : -8], value[-8:]
    return value.startswith(_KEY_PREFIX) and value.isascii() and _checksum(body) == checksum


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()


@dataclass(frozen=True)
class Operators:
    """Knows which organisations operate the service. Only their users may know how the service's own network looks."""

    store: Store

    async def include(self, org: str) -> bool:
        """Return whether the organisation with this id has an operator among its users.

        Return False for an empty id, and while the database is away.
        """
        if not org:
            return False
        try:
            async with self.store.transaction() as tx:
                return await accounts.has_operator(tx, UUID(org))
        except Unavailable:
            return False
