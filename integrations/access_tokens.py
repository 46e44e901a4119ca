"""Access tokens that are asked for once and shared, not once a message.

One object holds the token of one account in one process. While it is renewed, every other message
of the account waits for that one answer instead of asking too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from integrations.contracts import HttpRequest, HttpResponse
from integrations.errors import ConfigurationError, OutcomeUnknown, RateLimited, TransientError

if TYPE_CHECKING:
    from integrations.http import Http

#: a token that ends within this time is renewed first
MARGIN = timedelta(minutes=5)
#: how long a token is believed when the vendor does not say
_UNSAID_LIFE_S = 600
_LONGEST_LIFE_S = 86_400
#: the words of RFC 6749 5.2 that may be shown; anything else a vendor writes may be a secret
_CODES = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)


class AccessToken:
    """The token of one account, renewed in time and when the vendor refuses it.

    ``ask`` makes the request for a new token at a moment; its answer is RFC 6749 JSON
    (``access_token``, ``expires_in`` in seconds). It is renewed ``margin`` before its end, or half
    way where its life is shorter than twice that.
    """

    def __init__(
        self, ask: Callable[[datetime], HttpRequest], *, provider: str, margin: timedelta = MARGIN
    ) -> None:
        self._ask, self._provider, self._margin = ask, provider, margin
        self._value, self._good_until = "", datetime.min.replace(tzinfo=UTC)
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def get(
        self, http: Http, *, refused: str = "", now: Callable[[], datetime] | None = None
    ) -> str:
        """A token good for some minutes more; ``refused`` is one the vendor no longer takes.

        Raises ConfigurationError, RateLimited or TransientError: no message has left then.
        """
        clock = now or (lambda: datetime.now(UTC))
        async with self._own_lock():
            if not self._value or self._value == refused or clock() >= self._good_until:
                await self._renew(http, clock())
            return self._value

    async def exchange(
        self,
        request: HttpRequest,
        http: Http,
        *,
        header: str = "Authorization",
        scheme: str = "Bearer ",
        refused_by: Collection[int] = (401,),
        is_refusal: Callable[[HttpResponse], bool] = lambda response: True,
    ) -> HttpResponse:
        """``request`` with the token; a refused token is renewed and the request sent once more.

        A request refused for its token had no effect, so the second one repeats nothing.
        """
        token = await self.get(http)
        response = await self._with(token, request, http, header, scheme)
        if response.status in refused_by and is_refusal(response):
            token = await self.get(http, refused=token)
            response = await self._with(token, request, http, header, scheme)
        return response

    async def _with(
        self, token: str, request: HttpRequest, http: Http, header: str, scheme: str
    ) -> HttpResponse:
        headers = {**request.headers, header: f"{scheme}{token}"}
        return await http.send(replace(request, headers=headers), provider=self._provider)

    def _own_lock(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = (loop, asyncio.Lock())
        return self._lock[1]

    async def _renew(self, http: Http, at: datetime) -> None:
        try:
            response = await http.send(self._ask(at), provider=self._provider)
        except OutcomeUnknown as error:
            raise TransientError(self._provider, detail="no answer about a token") from error
        answer = response.json_object()
        value, life_s = answer.get("access_token"), answer.get("expires_in")
        if (
            response.status not in (200, 201)
            or not isinstance(value, str)
            or not (value and value.isascii() and value.isprintable())
        ):
            raise self._refusal(response)
        if not isinstance(life_s, int) or not 0 < life_s <= _LONGEST_LIFE_S:
            life_s = _UNSAID_LIFE_S
        life = timedelta(seconds=life_s)
        # a token that lives as short as the margin would be asked for again with every message
        self._value, self._good_until = value, at + life - min(self._margin, life / 2)

    def _refusal(self, response: HttpResponse) -> Exception:
        status = response.status
        if 300 <= status < 500 and status not in (408, 429):
            said = response.json_object().get("error")
            return ConfigurationError(
                self._provider,
                f"no access token: HTTP {status}",
                vendor_code=said if said in _CODES else "",
            )
        if status == 429:
            wait_s = response.retry_after_s() or 60.0
            return RateLimited(self._provider, response, retry_after_s=wait_s)
        return TransientError(self._provider, response, detail="no token")
