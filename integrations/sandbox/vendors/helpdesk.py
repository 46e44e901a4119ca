"""What the stand-ins of helpdesks share: tickets, their comments, people who write on them.

A person writes through ``POST /_sandbox/reply``: ``from`` and ``text``; with ``ticket`` (or the
``message`` that is a comment on it) on that ticket, else a new one is opened, with ``subject``.
``author`` lets somebody else than the requester write, as an agent would.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from integrations.sandbox.callbacks import VendorCall
from integrations.sandbox.state import SandboxAccount, SandboxMessage, SandboxReply
from integrations.sandbox.vendors.base import Route, SandboxVendor, json_reply, raw_of

MAILBOX = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[A-Za-z]{2,}")
Ticket = dict[str, Any]


class Helpdesk(SandboxVendor):
    """Tickets. The message wall shows a window for each."""

    channel = "helpdesk"
    #: states a ticket may have, as the vendor writes them
    open_status: ClassVar[Any] = "open"
    _numbers = itertools.count(35_001)
    _comments = itertools.count(910_001)

    def control_routes(self) -> Iterable[Route]:
        return (
            Route("PUT", "/tickets/{number}", self.change_ticket),
            Route("DELETE", "/tickets/{number}", self.delete_ticket),
            Route("GET", "/tickets/{number}", self.read_ticket),
        )

    def webhook(
        self, account: SandboxAccount, ticket: Ticket, comment: Mapping[str, Any], *, is_new: bool
    ) -> VendorCall:
        """The call a rule of the restaurant makes about ``comment``."""
        raise NotImplementedError

    # --- tickets --------------------------------------------------------------------------------

    def ticket(self, account: SandboxAccount, number: object) -> Ticket | None:
        """The ticket ``number`` of ``account``."""
        return self.state.resources.get(self._place(account, number))

    def tickets(self, account: SandboxAccount) -> list[Ticket]:
        """Every ticket of ``account``, oldest first."""
        name = self.account_name(account.settings)
        return [
            ticket
            for (vendor, kind, _), ticket in self.state.resources.items()
            if (vendor, kind) == (self.key, "ticket") and ticket["account"] == name
        ]

    def new_ticket(self, account: SandboxAccount, *, requester: str, **fields: Any) -> Ticket:
        """Open one; it has no comment yet."""
        number = next(self._numbers)
        ticket: Ticket = {
            "account": self.account_name(account.settings),
            "id": number,
            "requester": requester,
            "subject": "",
            "status": self.open_status,
            "tags": [],
            "comments": [],
            "updates": [],
            **fields,
        }
        self.state.resources[self._place(account, number)] = ticket
        return ticket

    def add_comment(
        self, ticket: Ticket, *, author: str, text: str, public: bool, html: str = ""
    ) -> dict[str, Any]:
        """Add one comment and hand it back."""
        comment: dict[str, Any] = {
            "id": next(self._comments),
            "author": author,
            "text": text,
            "html": html,
            "public": public,
            "at": time.time(),
        }
        ticket["comments"].append(comment)
        return comment

    def show(
        self,
        account: SandboxAccount,
        ticket: Ticket,
        comment: Mapping[str, Any],
        request: web.Request,
        body: Any,
    ) -> None:
        """Put what we wrote on the message wall."""
        self.accept(
            lambda: SandboxMessage(
                vendor=self.key,
                channel=self.channel,
                account=account,
                id=f"{self.key}-{ticket['id']}-{comment['id']}",
                to=ticket["requester"],
                text=comment["text"],
                subject=ticket["subject"],
                raw=raw_of(request, lambda: body),
                extra={
                    "ticket": str(ticket["id"]),
                    "public": comment["public"],
                    "status": str(ticket["status"]),
                    "tags": list(ticket["tags"]),
                },
            )
        )

    def _place(self, account: SandboxAccount, number: object) -> tuple[str, str, str]:
        return (self.key, "ticket", f"{self.account_name(account.settings)}:{number}")

    # --- people ---------------------------------------------------------------------------------

    def reply(
        self, account: SandboxAccount, words: Mapping[str, Any]
    ) -> tuple[SandboxReply, VendorCall]:
        """A requester (or ``author``) writes on a ticket or opens one."""
        text, sender = str(words.get("text", "")), str(words.get("from", ""))
        number = str(words.get("ticket") or "")
        message = self.state.message(str(words.get("message", "")))
        if not number and message is not None:
            number = str(message.extra.get("ticket", ""))
        ticket = self.ticket(account, number) if number else None
        is_new = ticket is None
        if ticket is None:
            if number:
                raise ValueError(f"there is no ticket {number}")
            if not MAILBOX.fullmatch(sender):
                raise ValueError("'from' is the mailbox of the person who asks")
            subject = str(words.get("subject") or text.partition("\n")[0][:80])
            ticket = self.new_ticket(account, requester=sender, subject=subject)
        author = str(words.get("author") or sender or ticket["requester"])
        comment = self.add_comment(ticket, author=author, text=text, public=True)
        call = self.webhook(account, ticket, comment, is_new=is_new)
        reply = SandboxReply(
            vendor=self.key,
            id=f"{self.key}-{ticket['id']}-{comment['id']}",
            sender=author,
            to=str(ticket["id"]),
            text=text,
        )
        return reply, call

    # --- what an agent or a test does -----------------------------------------------------------

    async def read_ticket(self, request: web.Request) -> web.StreamResponse:
        """The ticket as the stand-in keeps it."""
        found = self._any_account(request)
        return json_reply(found[1]) if found else json_reply({"error": "no ticket"}, status=404)

    async def change_ticket(self, request: web.Request) -> web.StreamResponse:
        """PUT {"status": "closed"} and the like."""
        found = self._any_account(request)
        if found is None:
            return json_reply({"error": "no such ticket"}, status=404)
        changes = await request.json()
        found[1].update({"status": changes["status"]})
        return json_reply(found[1])

    async def delete_ticket(self, request: web.Request) -> web.StreamResponse:
        """Delete the ticket for good."""
        found = self._any_account(request)
        if found is not None:
            del self.state.resources[self._place(found[0], found[1]["id"])]
        return json_reply({})

    def _any_account(self, request: web.Request) -> tuple[SandboxAccount, Ticket] | None:
        number = request.match_info["number"]
        for account in self.state.accounts(self.key):
            ticket = self.ticket(account, number)
            if ticket is not None:
                return account, ticket
        return None
