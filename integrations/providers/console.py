"""A provider for development: one line on standard output, nothing on the network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from integrations.contracts import (
    Accepted,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    Message,
    Provider,
)
from integrations.sms_text import measure, normalize

if TYPE_CHECKING:
    from integrations.http import Http


class Console(Provider):
    """Text messages printed instead of sent; used only by an account somebody configured.

    ``send`` is overridden because there is no vendor: the network door stays shut.
    """

    key = "console"
    channel = Channel.SMS
    title = "Console (development)"
    live_base_url = "console://stdout"
    capabilities = Capabilities()

    def request(self, message: Message) -> HttpRequest:
        """The line, in the shape other providers use; it is printed, never sent."""
        text = " ".join(normalize(message.text).split())
        line = f"[{message.channel.value}] to ...{message.to[-2:]}: {text}\n"
        return HttpRequest("PRINT", self.base_url, {}, line.encode("utf-8", "replace"))

    def outcome(self, message: Message, response: HttpResponse) -> Accepted:
        """Always accepted, under the attempt's own id."""
        return Accepted(
            vendor_id=message.attempt_id, segments=measure(normalize(message.text)).parts
        )

    async def send(self, message: Message, http: Http) -> Accepted:
        """Print the line and accept."""
        sys.stdout.write(self.request(message).body.decode())
        sys.stdout.flush()
        return self.outcome(message, HttpResponse(status=200))
