"""Klaviyo's profiles: consents and suppressions, erasure, and the flows that listen to a metric."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiohttp import web

from integrations.payloads import inner
from integrations.sandbox.state import SandboxAccount, iso
from integrations.sandbox.vendors.base import Route, json_reply

if TYPE_CHECKING:
    from integrations.sandbox.vendors.klaviyo import Klaviyo

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_MAILBOX = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[A-Za-z]{2,}")
_REFUSED = frozenset({"invalid@example.com", "+15005550001"})
_FILTER = re.compile(r"greater-than\(([a-z._]+),([0-9T:Z-]+)\)")
_PROFILE = "/data/attributes/profile/data/attributes"
_LONGEST_STRING, _MOST_PROPERTIES, _DEEPEST = 100_000, 400, 10


class Profiles:
    """The profiles of every account, kept in the sandbox's resources."""

    def __init__(self, vendor: Klaviyo) -> None:
        self.vendor = vendor
        self.is_flow_live = True

    def routes(self) -> Iterable[Route]:
        """What the product asks besides sending events."""
        return (
            Route("POST", "/api/profile-subscription-bulk-delete-jobs", self.unsubscribe),
            Route("POST", "/api/data-privacy-deletion-jobs", self.erase),
            Route("GET", "/api/profiles", self.listed),
            Route("GET", "/api/metrics", self.metrics),
        )

    def seen(self, account: SandboxAccount, person: str, metric: str) -> None:
        """An event makes profile and metric."""
        self._profile(account, person)
        name = self.vendor.account_name(account.settings)
        self.vendor.state.resources[self.vendor.key, "metric", f"{name} {metric}"] = {
            "name": metric
        }

    async def unsubscribe(self, request: web.Request) -> web.StreamResponse:
        """POST the job; with a list it would reach far more than meant, so that is refused."""
        account = self.vendor.account_of(request)
        if isinstance(account, web.Response):
            return account
        body = json.loads(await request.read())
        job = attributes_of(body, "profile-subscription-bulk-delete-job")
        people = job.get("profiles", {}).get("data", [])
        if not people or len(people) > 100 or "relationships" in body["data"]:
            return error(400, "invalid", pointer="/data/attributes/profiles")
        for each in people:
            attributes = each["attributes"]
            person = attributes.get("email") or attributes.get("phone_number")
            profile = self._profile(account, person)
            for channel, consents in attributes["subscriptions"].items():
                for consent, wanted in consents.items():
                    if wanted != {"consent": "UNSUBSCRIBED"}:
                        return error(400, "invalid", pointer="/data/attributes/profiles")
                    self._take_back(profile, channel, consent)
        return web.Response(status=202)

    async def suppress(self, request: web.Request) -> web.StreamResponse:
        """``{"person", "reason"}``: a bounce, a complaint, or somebody leaving the marketing."""
        body = json.loads(await request.read())
        account = self.vendor.state.accounts(self.vendor.key)[-1]
        profile = self._profile(account, body["person"])
        if body["reason"] in ("sms.transactional", "sms.marketing"):
            self._take_back(profile, *body["reason"].split("."))
        else:
            stop = {"reason": body["reason"], "timestamp": iso(time.time())}
            profile["subscriptions"]["email"]["marketing"]["suppression"].append(stop)
        return json_reply({})

    async def erase(self, request: web.Request) -> web.StreamResponse:
        """POST a deletion job: exactly one identifier."""
        account = self.vendor.account_of(request)
        if isinstance(account, web.Response):
            return account
        job = attributes_of(json.loads(await request.read()), "data-privacy-deletion-job")
        named = job.get("profile", {}).get("data", {}).get("attributes", {})
        if len(named) != 1 or set(named) - {"email", "phone_number"}:
            return error(400, "invalid", pointer=_PROFILE)
        place = self._place(account, next(iter(named.values())))
        self.vendor.state.resources.pop(place, None)
        return web.Response(status=202)

    async def listed(self, request: web.Request) -> web.StreamResponse:
        """GET profiles: one time filter, pages by cursor."""
        account = self.vendor.account_of(request)
        if isinstance(account, web.Response):
            return account
        wanted = _FILTER.fullmatch(request.query.get("filter", ""))
        if wanted is None:
            return error(400, "invalid", pointer="filter")
        since = datetime.fromisoformat(wanted[2]).timestamp()
        found = [p for p in self._all(account) if _changed_at(p, wanted[1]) > since]
        size = int(request.query.get("page[size]", "20"))
        start = int(request.query.get("page[cursor]") or 0)
        following = None
        if start + size < len(found):
            following = str(request.url.update_query({"page[cursor]": str(start + size)}))
        data = [
            {
                "type": "profile",
                "id": profile["id"],
                "attributes": {
                    **profile["identifier"],
                    "subscriptions": profile["subscriptions"],
                },
            }
            for profile in found[start : start + size]
        ]
        return answer({"data": data, "links": {"self": str(request.url), "next": following}})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET metrics?include=flow-triggers: the flow listens to the account's own metric."""
        account = self.vendor.account_of(request)
        if isinstance(account, web.Response):
            return account
        name = self.vendor.account_name(account.settings)
        listened = account.settings.get("metric") or "Order Status Changed"
        known = [
            metric["name"]
            for (vendor, kind, place), metric in self.vendor.state.resources.items()
            if (vendor, kind) == (self.vendor.key, "metric") and place.startswith(f"{name} ")
        ]
        flow = {
            "type": "flow",
            "id": "SBXflow",
            "attributes": {
                "name": "Order news",
                "status": "live" if self.is_flow_live else "draft",
                "archived": False,
            },
        }
        data = [
            {
                "type": "metric",
                "id": f"M{number}",
                "attributes": {"name": metric},
                "relationships": {
                    "flow-triggers": {
                        "data": [{"type": "flow", "id": "SBXflow"}] if metric == listened else []
                    }
                },
            }
            for number, metric in enumerate(known)
        ]
        return answer({"data": data, "included": [flow], "links": {"next": None}})

    async def switch_off(self, request: web.Request) -> web.StreamResponse:
        """The manager's flow is a draft from now on: events are taken and nobody is told."""
        self.is_flow_live = False
        return json_reply({})

    # --- shared -----------------------------------------------------------------------------------

    def _all(self, account: SandboxAccount) -> list[dict[str, Any]]:
        name = self.vendor.account_name(account.settings)
        return [
            profile
            for (vendor, kind, place), profile in self.vendor.state.resources.items()
            if (vendor, kind) == (self.vendor.key, "profile") and place.startswith(f"{name} ")
        ]

    def _place(self, account: SandboxAccount, person: str) -> tuple[str, str, str]:
        name = self.vendor.account_name(account.settings)
        return (self.vendor.key, "profile", f"{name} {person.lower()}")

    def _profile(self, account: SandboxAccount, person: str) -> dict[str, Any]:
        place = self._place(account, person)
        known = self.vendor.state.resources.get(place)
        if known is None:
            known = self.vendor.state.resources[place] = {
                "id": "01" + hashlib.sha256(person.lower().encode()).hexdigest()[:24].upper(),
                "identifier": {"email" if "@" in person else "phone_number": person},
                "updated": time.time(),
                "subscriptions": {
                    "email": {"marketing": {"consent": "NEVER_SUBSCRIBED", "suppression": []}},
                    "sms": {"marketing": None, "transactional": None},
                },
            }
        return known

    def _take_back(self, profile: dict[str, Any], channel: str, consent: str) -> None:
        now = time.time()
        held = profile["subscriptions"].setdefault(channel, {})
        held[consent] = {
            **(held.get(consent) or {}),
            "consent": "UNSUBSCRIBED",
            "consent_timestamp": iso(now),
        }
        if channel == "email":
            stop = {"reason": "UNSUBSCRIBE", "timestamp": iso(now)}
            held[consent].setdefault("suppression", []).append(stop)
        profile["updated"] = now


def problem_with(event: Mapping[str, Any]) -> web.Response | None:
    """What Klaviyo answers to an event it will not take."""
    metric = inner(event, "metric", "data", "attributes").get("name")
    if not isinstance(metric, str) or not 1 <= len(metric) < 128:
        return error(400, "invalid", pointer="/data/attributes/metric/data/attributes/name")
    properties = event.get("properties")
    if not isinstance(properties, dict) or len(properties) > _MOST_PROPERTIES:
        return error(400, "invalid", pointer="/data/attributes/properties")
    if not _fits(properties, 1):
        return error(400, "invalid", pointer="/data/attributes/properties")
    person = inner(event, "profile", "data", "attributes")
    mailbox, number = person.get("email"), person.get("phone_number")
    if mailbox is None and number is None:
        return error(400, "invalid", pointer=_PROFILE)
    if mailbox is not None and (not _MAILBOX.fullmatch(mailbox) or mailbox in _REFUSED):
        return error(400, "invalid", pointer=f"{_PROFILE}/email")
    if number is not None and (not _NUMBER.fullmatch(number) or number in _REFUSED):
        return error(400, "invalid", pointer=f"{_PROFILE}/phone_number")
    return _time_problem(event.get("time"))


def _time_problem(at: Any) -> web.Response | None:
    if at is None:
        return None
    try:
        age_s = time.time() - datetime.fromisoformat(at).timestamp()
    except (ValueError, TypeError):
        return error(400, "invalid", pointer="/data/attributes/time")
    if age_s < -365 * 86_400:
        return error(400, "invalid", pointer="/data/attributes/time")
    return None


def _fits(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return len(value.encode()) <= _LONGEST_STRING
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return depth <= _DEEPEST and all(_fits(each, depth + 1) for each in inside)
    return True


def person_of(event: Mapping[str, Any]) -> str:
    """Mailbox or number of an event's profile."""
    person = inner(event, "profile", "data", "attributes")
    return str(person.get("email") or person.get("phone_number"))


def attributes_of(body: Any, kind: str) -> dict[str, Any]:
    """The attributes of a JSON:API document of ``kind``; {} for anything else."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or data.get("type") != kind:
        return {}
    attributes = data.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def answer(value: Any, status: int = 200, headers: Any = None) -> web.Response:
    """A JSON:API answer."""
    made = json_reply(value, status=status, headers=headers)
    made.content_type = "application/vnd.api+json"
    return made


def error(
    status: int, code: str, *, pointer: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """Klaviyo's error body."""
    where = "pointer" if pointer.startswith("/") else "parameter"
    problem = {
        "id": str(uuid4()),
        "status": status,
        "code": code,
        "title": "Invalid input." if status == 400 else "Refused.",
        "detail": "details",
        "source": {where: pointer} if pointer else {},
    }
    return answer({"errors": [problem]}, status, headers)


def _changed_at(profile: Mapping[str, Any], field: str) -> float:
    if field == "updated":
        return float(profile["updated"])
    stops = profile["subscriptions"]["email"]["marketing"].get("suppression", [])
    return max((datetime.fromisoformat(s["timestamp"]).timestamp() for s in stops), default=0.0)
