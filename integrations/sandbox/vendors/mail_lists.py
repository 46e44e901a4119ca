"""The lists of a mail vendor's stand-in: who gets no mail, and since when."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from integrations.sandbox.state import SandboxAccount
from integrations.sandbox.vendors.base import SandboxVendor, json_reply


class MailLists(SandboxVendor):
    """A vendor with suppression lists, each by name, of each account."""

    def list_up(self, account: SandboxAccount, name: str, mailbox: str, **entry: Any) -> None:
        """Put ``mailbox`` on a list; who is on it stays as it was but for ``entry``."""
        listed = self._list(account, name)
        known = listed.get(mailbox.lower(), {"at": time.time()})
        listed[mailbox.lower()] = {**known, **entry}

    def strike(self, account: SandboxAccount, name: str, mailbox: str) -> bool:
        """Take ``mailbox`` off a list; False = it was not there."""
        return self._list(account, name).pop(mailbox.lower(), None) is not None

    def listed(self, account: SandboxAccount, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Mailbox -> what is known of the entry, in the order they came."""
        return self._list(account, name)

    def _list(self, account: SandboxAccount, name: str) -> dict[str, Any]:
        key = (self.key, f"list {self.account_name(account.settings)}", name)
        return self.state.resources.setdefault(key, {})

    # --- for tests and demonstrations ---------------------------------------------------------

    async def plant_entry(self, _request: web.Request, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """POST {"list", "email", "at"?, "tags"?}: as if it had happened at the vendor."""
        name, mailbox = wanted.get("list"), wanted.get("email")
        if not (isinstance(name, str) and isinstance(mailbox, str)):
            raise ValueError("give 'list' and 'email'")
        entry = {word: wanted[word] for word in ("at", "tags") if word in wanted}
        for account in self.state.accounts(self.key):
            self.list_up(account, name, mailbox, **entry)
        return {}

    async def show_lists(self, request: web.Request) -> web.StreamResponse:
        """GET every list of every account: list -> mailboxes."""
        found: dict[str, list[str]] = {}
        for (vendor, kind, name), entries in self.state.resources.items():
            if vendor == self.key and kind.startswith("list "):
                found.setdefault(name, []).extend(sorted(entries))
        return json_reply({"lists": found})
