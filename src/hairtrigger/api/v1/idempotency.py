"""`Idempotency-Key` on POST: a request that is sent again is not carried out twice, and gets the first one's answer.

It counts as sent again only if its caller has the same rights as the first one, so no caller gets an answer that it
could not have asked for.

As the IETF draft draft-ietf-httpapi-idempotency-key-header-07 says, the answer is 409 while the first request is under
way, and 422 if the key comes back with another request. Answers are kept for a day. They are sealed, because some of
them show a new secret.
"""

import hashlib
from datetime import timedelta

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from hairtrigger.api.auth import Authenticator, StrictRoute
from hairtrigger.api.bodies import BoundedRequest, Handler
from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, Invalid, Unavailable
from hairtrigger.domain.quotas import Limits, Quota, QuotaSpent, Use
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.vault import Vault
from hairtrigger.store import idempotency, quotas
from hairtrigger.store.database import Store

_AGAIN = timedelta(hours=1)  # the oldest answers are forgotten about every hour


def idempotent_route(
    authenticate: Authenticator, store: Store, vault: Vault, clock: Clock, limits: Limits
) -> type[APIRoute]:
    """Return a class of routes that authenticate the caller and carry out a POST with an `Idempotency-Key`
    only once.
    """

    class IdempotentRoute(StrictRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def handler(request: Request) -> Response:
                caller = await authenticate(request)
                request = BoundedRequest(request)
                key = request.headers.get("idempotency-key")
                if request.method != "POST" or key is None:
                    return await handle(request)
                if not 1 <= len(key) <= 255:
                    raise Invalid("An Idempotency-Key has 1 to 255 characters.")
                return await _once(request, f"{key}\n{_rights(caller)}", caller, handle)

            return handler

    def _rights(caller: Caller) -> str:
        return " ".join((*sorted(caller.scopes), *(["operator"] if caller.operator else [])))

    async def _once(request: Request, key: str, caller: Caller, handle: Handler) -> Response:
        body = await request.body()
        what = (request.method.encode(), request.url.path.encode(), request.url.query.encode(), body)
        digest = hashlib.sha256(b"\0".join(what)).digest()
        bound_to = f"idempotency/{caller.org_id}/{key}"
        async with store.transaction() as tx:
            first = await idempotency.begin(tx, caller.org_id, key, digest, clock.now())
            kept = await quotas.rows(tx, caller.org_id, Quota.IDEMPOTENCY_KEYS) if first is None else 0
            if kept > limits.idempotency_keys:
                raise QuotaSpent(Use(Quota.IDEMPOTENCY_KEYS, limits.idempotency_keys, kept - 1), _AGAIN)
        if first is None:
            return await _carry_out(request, key, caller, handle, bound_to)
        if first.request != digest:
            raise Invalid("This Idempotency-Key was used for another request.")
        if first.status is None or first.response is None:
            raise Conflict("The first request with this Idempotency-Key is still under way.")
        again = vault.unseal(first.response, bound_to)
        return Response(again, first.status, {"Idempotent-Replayed": "true"}, media_type="application/json")

    async def _carry_out(request: Request, key: str, caller: Caller, handle: Handler, bound_to: str) -> Response:
        """Carry out the request, keep its answer and return it. No failure is kept, so the same key may
        be tried again.
        """
        kept = False
        try:
            response = await handle(request)
            async with store.transaction() as tx:
                sealed = vault.seal(bytes(response.body), bound_to)
                await idempotency.end(tx, caller.org_id, key, response.status_code, sealed)
            kept = True
        finally:
            if not kept:
                await _abandon(caller, key)
        return response

    async def _abandon(caller: Caller, key: str) -> None:
        try:
            async with store.transaction() as tx:
                await idempotency.abandon(tx, caller.org_id, key)
        except Unavailable:
            return  # the key counts as abandoned after five minutes anyway

    return IdempotentRoute
