"""An answer that comes for hours, a line at a time: the streaming half of the network door."""

from __future__ import annotations

import asyncio

import aiohttp

from integrations.errors import OutcomeUnknown

#: a longer line is no event of anybody
LONGEST_LINE = 1024 * 1024


class Lines:
    """The lines of one open answer. Opened by ``Http.open_lines``, closed by whoever reads it."""

    def __init__(self, answer: aiohttp.ClientResponse, provider: str) -> None:
        self._answer, self._provider = answer, provider
        self._rest = b""
        self.status = answer.status
        #: names in lower case
        self.headers = {name.lower(): value for name, value in answer.headers.items()}

    async def next(self, *, within_s: float) -> list[bytes] | None:
        """The whole lines that came, without their ends; [] = the vendor ended the answer.

        None when none came ``within_s``; ask again. Raises OutcomeUnknown when the connection
        breaks or was silent for too long: half a line is nothing then.
        """
        try:
            async with asyncio.timeout(within_s) as limit:
                return await self._whole_lines()
        except (aiohttp.ClientError, TimeoutError) as error:
            if limit.expired():
                return None
            why = f"the stream broke: {type(error).__name__}"
            raise OutcomeUnknown(self._provider, detail=why) from error

    async def _whole_lines(self) -> list[bytes]:
        while chunk := await self._answer.content.readany():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > LONGEST_LINE:
                raise OutcomeUnknown(self._provider, detail="a line without an end")
            if whole := [line for line in map(bytes.strip, lines) if line]:
                return whole
        return []

    def cookie(self) -> str:
        """The cookies it sets, as the next request says them."""
        pairs = (line.partition(";")[0].strip() for line in self._answer.headers.getall(
            "Set-Cookie", []))  # fmt: skip
        return "; ".join(pair for pair in pairs if "=" in pair)

    def close(self) -> None:
        """Cut the connection: there is always more."""
        self._answer.close()
