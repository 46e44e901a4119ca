"""The sandbox's own endpoints below ``/_sandbox``: accounts, messages, faults, replies, events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.callbacks import CallAnswer, Callbacks, VendorCall
from integrations.sandbox.changing import changing
from integrations.sandbox.faults import Fault
from integrations.sandbox.state import SandboxAccount, SandboxState
from integrations.sandbox.vendors.base import (
    SandboxVendor,
    Trial,
    json_reply,
    random_hex,
)

#: most copies of one event posted at once
MOST_COPIES = 100


class Control:
    """Handlers of ``/_sandbox``. A ValueError anywhere becomes a 400 with its text."""

    def __init__(
        self, state: SandboxState, callbacks: Callbacks, vendors: Mapping[str, SandboxVendor]
    ) -> None:
        self.state = state
        self.callbacks = callbacks
        self.vendors = vendors

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/_sandbox/health", self.health),
            web.get("/_sandbox/messages", self.messages),
            web.get("/_sandbox/messages/{id}", self.message),
            web.delete("/_sandbox/messages", changing(self.clear)),
            web.get("/_sandbox/accounts", self.accounts),
            web.post("/_sandbox/accounts", changing(self.add_account)),
            web.get("/_sandbox/faults", self.faults),
            web.post("/_sandbox/faults", changing(self.add_fault)),
            web.delete("/_sandbox/faults", changing(self.clear_faults)),
            web.get("/_sandbox/settings", self.settings),
            web.post("/_sandbox/settings", changing(self.change_settings)),
            web.get("/_sandbox/replies", self.replies),
            web.post("/_sandbox/reply", changing(self.reply)),
            web.post("/_sandbox/unsubscribe", changing(self.unsubscribe)),
            web.post("/_sandbox/emit", changing(self.emit)),
            web.post("/_sandbox/try", changing(self.try_out)),
        ]

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Counters: what was accepted, what waits to be posted back, what could not be."""
        return json_reply(
            {
                "status": "ok",
                "vendors": list(self.vendors),
                "accounts": len(self.state.accounts()),
                "accepted": self.state.accepted,
                "callbacks": {
                    "posted": self.callbacks.posted,
                    "refused": self.callbacks.failed,
                    "waiting": self.callbacks.waiting,
                    "dropped": self.callbacks.dropped,
                },
            }
        )

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """Recorded messages, newest last."""
        query = request.query
        found = self.state.messages(vendor=query.get("vendor", ""), order=query.get("order", ""))
        return json_reply({"messages": [message.as_json() for message in found]})

    async def message(self, request: web.Request) -> web.StreamResponse:
        """One recorded message by the vendor's id."""
        message = self.state.message(request.match_info["id"])
        if message is None:
            return json_reply({"error": "no such message"}, status=404)
        return json_reply(message.as_json())

    async def clear(self, request: web.Request, _: dict[str, Any]) -> Any:
        """Forget messages, replies and opt-outs."""
        self.state.clear()
        return {}

    async def accounts(self, request: web.Request) -> web.StreamResponse:
        """Registered accounts, without their credentials."""
        return json_reply(
            {
                "accounts": [
                    {
                        "vendor": account.vendor,
                        "name": self.vendors[account.vendor].account_name(account.settings),
                        "webhook_url": account.webhook_url,
                        "deliver_to": account.deliver_to,
                    }
                    for account in self.state.accounts(request.query.get("vendor", ""))
                ]
            }
        )

    async def add_account(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Register an account; the same account at the same vendor is replaced."""
        vendor = self._vendor(wanted)
        vendor.register(_account_of(vendor.key, wanted))
        return {}

    async def faults(self, request: web.Request) -> web.StreamResponse:
        """The fault plan with its counters."""
        return json_reply({"faults": self.state.faults.as_json()})

    async def add_fault(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Add one fault to the plan."""
        fault = Fault.from_json(wanted, vendors=frozenset(self.vendors))
        self.state.faults.add(fault)
        self.state.version += 1
        return fault.as_json()

    async def clear_faults(self, request: web.Request, _: dict[str, Any]) -> Any:
        """Take one fault (``?id=``) or all of them out of the plan."""
        fault_id = request.query.get("id")
        self.state.faults.clear(int(fault_id) if fault_id else None)
        self.state.version += 1
        return {"faults": self.state.faults.as_json()}

    async def settings(self, request: web.Request) -> web.StreamResponse:
        """The knobs."""
        return json_reply(self.state.settings.as_json())

    async def change_settings(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Turn knobs: record, latency_ms, receipts, sent_after_ms, delivered_after_ms."""
        self.state.settings.change(wanted)
        self.state.version += 1
        return self.state.settings.as_json()

    async def replies(self, request: web.Request) -> web.StreamResponse:
        """What was replied, newest last."""
        return json_reply({"replies": [reply.as_json() for reply in self.state.replies]})

    async def reply(self, request: web.Request, words: dict[str, Any]) -> Any:
        """Post words of a person to our endpoint as the vendor would; tells its answer."""
        vendor = self._vendor(words)
        account = self._account(vendor.key, words)
        reply, call = vendor.reply(account, words)
        self.state.replies.append(reply)
        self.state.version += 1
        answer = await self._post(call)
        reply.status = answer.status
        self.state.version += 1
        return {**reply.as_json(), "answer": answer.body}

    async def unsubscribe(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Press the unsubscribe button of a mail program on message ``id`` (RFC 8058)."""
        message = self.state.message(str(wanted.get("id", "")))
        link = str(message.extra.get("unsubscribe") or "") if message else ""
        if message is None or not link:
            raise ValueError("'id' is no message with a List-Unsubscribe header")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        call = VendorCall(message.account.target(link), b"List-Unsubscribe=One-Click", form)
        answer = await self._post(call)
        return {"status": answer.status, "answer": answer.body}

    async def emit(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Post a signed event of an order source; tells our endpoint's answer.

        Besides what the vendor reads: ``copies`` posts the same call several times, at once.
        """
        vendor = self._vendor(wanted)
        if "settings" in wanted:
            account = _account_of(vendor.key, wanted)
        else:
            account = self._account(vendor.key, wanted)
        call = vendor.event(account, wanted)
        copies = wanted.get("copies", 1)
        if not isinstance(copies, int) or not 1 <= copies <= MOST_COPIES:
            raise ValueError(f"'copies' is a number from 1 to {MOST_COPIES}")
        answers = await asyncio.gather(*(self._post(call) for _ in range(copies)))
        about = str(wanted.get("order_id") or wanted.get("delivery_id") or "")
        for answer in answers:
            self.state.note_event(vendor.key, _event_name(call), about, answer.status)
        return {
            "status": answers[0].status,
            "answer": answers[0].body,
            "statuses": [answer.status for answer in answers],
            "event": json.loads(call.body),
        }

    async def try_out(self, request: web.Request, wanted: dict[str, Any]) -> Any:
        """Register an account of an order source, plant a test order there and announce it.

        ``number`` is what people call the order, ``places`` are names of the kitchen. Tells like
        ``emit`` what came of it, and in ``about`` the id that stands in the event.
        """
        vendor = self._vendor(wanted)
        account = _account_of(vendor.key, wanted)
        vendor.register(account)
        order = Trial(
            number=str(wanted.get("number") or "TRY"),
            uid=random_hex(6),
            at=time.time(),
            places=tuple(str(place) for place in wanted.get("places") or ()),
        )
        about = vendor.trial(account, order)
        answer = await self.emit(
            request,
            {
                **about,
                "vendor": vendor.key,
                "settings": dict(account.settings),
                "webhook_url": account.webhook_url,
                "deliver_to": account.deliver_to,
            },
        )
        return {**answer, "about": str(about.get("order_id") or about.get("delivery_id"))}

    # --- shared ---------------------------------------------------------------------------------

    def _vendor(self, wanted: Mapping[str, Any]) -> SandboxVendor:
        key = str(wanted.get("vendor", ""))
        if key not in self.vendors:
            raise ValueError(f"unknown vendor '{key}'; known: {', '.join(self.vendors)}")
        return self.vendors[key]

    def _account(self, vendor: str, wanted: Mapping[str, Any]) -> SandboxAccount:
        """The account of ``message``, or with the webhook URL ``account``, or that wrote last.

        "Wrote last": to the address in ``from``; where nobody did, the newest account.
        """
        accounts = self.state.accounts(vendor)
        url = wanted.get("account")
        about = self.state.message(str(wanted.get("message", "")))
        if about is not None and about.vendor == vendor:
            return about.account
        if url:
            accounts = [account for account in accounts if account.webhook_url == url]
        elif wanted.get("from"):
            to = [
                message.account
                for message in self.state.messages(vendor=vendor)
                if message.to == wanted["from"] and message.account in accounts
            ]
            accounts = to or accounts
        if not accounts:
            raise ValueError(f"no registered {vendor} account fits")
        return accounts[-1]

    async def _post(self, call: VendorCall) -> CallAnswer:
        if not call.url:
            raise ValueError("this account has no webhook_url and deliver_to")
        return await self.callbacks.now(call)


def _event_name(call: VendorCall) -> str:
    """The vendor's own name for the event in ``call``."""
    event = json.loads(call.body)
    if isinstance(event, list):
        return f"batch of {len(event)}"
    return str(event.get("type") or event.get("event_type") or event.get("kind") or "event")


def _account_of(vendor: str, wanted: Mapping[str, Any]) -> SandboxAccount:
    settings = wanted.get("settings", {})
    if not isinstance(settings, dict):
        raise ValueError("'settings' is a JSON object")
    webhook_url = str(wanted.get("webhook_url") or "")
    return SandboxAccount(
        vendor=vendor,
        settings={str(name): str(value) for name, value in settings.items()},
        webhook_url=webhook_url,
        deliver_to=str(wanted.get("deliver_to") or webhook_url),
    )
