"""What the stand-ins of CRMs share: events on the wall, and a workflow that reports back.

A CRM sends no receipts of its own for these; the manager's workflow calls us from a webhook
action, with a key in a header instead of a signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage
from integrations.sandbox.vendors.base import ReceiptPlan, SandboxVendor, raw_of

FLOW_HEADER = "X-Order-Up-Key"


class Crm(SandboxVendor):
    """Events about people. The message wall shows each with its properties."""

    channel = "crm"
    #: whether a person's "no" in the CRM is posted to us
    tells_stops: ClassVar[bool] = False

    def take(
        self,
        account: SandboxAccount,
        request: web.Request,
        *,
        message_id: str,
        to: str,
        event: str,
        properties: Mapping[str, Any],
        names: Mapping[str, str],
        body: Any,
    ) -> None:
        """Put one event on the wall. ``names`` says where text, subject, number and attempt are."""

        def made() -> SandboxMessage:
            return SandboxMessage(
                vendor=self.key,
                channel=self.channel,
                account=account,
                id=message_id,
                to=to,
                text=str(properties.get(names["text"]) or ""),
                subject=str(properties.get(names["subject"]) or ""),
                order_number=str(properties.get(names["number"]) or ""),
                attempt=str(properties.get(names["attempt"]) or ""),
                raw=raw_of(request, lambda: body),
                extra={
                    "event": event,
                    "properties": dict(properties),
                    "says_no": self.tells_stops,
                },
            )

        self.accept(made)

    def run_workflow(
        self, account: SandboxAccount, message_id: str, attempt: str, key: str, *last: str
    ) -> None:
        """Let the manager's workflow report "sent" and then ``last``; without a key it does not."""
        url = account.target(account.webhook_url)
        if not (url and key and attempt):
            return
        settings = self.state.settings
        plans = [
            ReceiptPlan(kind, after_ms, partial(flow_call, url, key, attempt, kind))
            for kind, after_ms in zip(
                ("sent", *last),
                (settings.sent_after_ms, *(settings.delivered_after_ms,) * len(last)),
                strict=True,
            )
        ]
        self.post_receipts(message_id, plans)


def flow_call(url: str, key: str, attempt: str, kind: str) -> VendorCall:
    """What the webhook action posts."""
    body = json.dumps({"attempt_id": attempt, "kind": kind}).encode()
    return VendorCall(url, body, {"Content-Type": "application/json", FLOW_HEADER: key})
