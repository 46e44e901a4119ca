"""What a person can do on the page of an address, of a ledger row and of somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from consents import rights, staff
from consents.addresses import PHONE_CHANNELS
from consents.admin_words import action_word, purpose_word, request_word
from consents.consent_receipts import consent_receipts
from consents.console import Button, ConsoleAdmin, Panel
from consents.models import (
    ConsentEvent,
    ContactAddress,
    RightsRequest,
    Subject,
)
from consents.scans import ScanRefused

_REVEALABLE = PHONE_CHANNELS | {"email"}


def why_url(what: str, pk: object) -> str:
    """The page that says why an address, a person or an order's guest may be written to."""
    return reverse("console-why", args=[what, pk])


class AddressDeeds(ConsoleAdmin):
    """Why may we text her? Show it once; write down what she said."""

    def panels(self, request: HttpRequest, obj: ContactAddress) -> Sequence[Panel]:
        context = {
            "address": obj,
            "why_url": why_url("address", obj.pk),
            "reveal_url": self.button_url("reveal"),
            "record_url": self.button_url("record"),
            "can_reveal": obj.channel in _REVEALABLE,
            "is_mail": obj.channel == "email",
            "actions": [(str(one), action_word(one)) for one in staff.SAYABLE],
            "purposes": [(one, purpose_word(one)) for one in staff.purposes()],
            "nonce": uuid4().hex,
            "today": f"{timezone.localdate():%Y-%m-%d}",
        }
        return [Panel("admin/console/address_deeds.html", context)]

    def buttons(self) -> Mapping[str, Button]:
        return {"reveal": self.reveal, "record": self.record}

    def reveal(self, request: HttpRequest, obj: ContactAddress) -> HttpResponse | None:
        """Show the value once; who looked and why is on record."""
        if obj.channel not in _REVEALABLE:
            raise Http404
        try:
            value = staff.reveal_address(
                address_id=obj.pk,
                by=request.user.get_username(),
                why=request.POST.get("why", ""),
                now=timezone.now(),
            )
        except ValueError:
            messages.error(request, _("Say why you need it: it is kept beside your name."))
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("What is the whole address?"),
            "address": obj,
            "value": value,
            "opts": self.opts,
        }
        answer = TemplateResponse(request, "admin/console/revealed.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    def record(self, request: HttpRequest, obj: ContactAddress) -> HttpResponse | None:
        """Write down what the person said to the staff."""
        action, purpose = request.POST.get("action", ""), request.POST.get("purpose", "")
        if action not in staff.SAYABLE or purpose not in staff.purposes():
            raise Http404
        scan, now = request.FILES.get("scan"), timezone.now()
        try:
            event = staff.record_by_staff(
                address_id=obj.pk,
                action=action,
                purpose=purpose,
                by=request.user.get_username(),
                note=request.POST.get("note", ""),
                occurred_at=_day(request.POST.get("said_on", ""), now),
                now=now,
                scan=scan.read(6_000_000) if scan is not None else None,
                nonce=request.POST.get("nonce", "")[:64],
            )
        except ScanRefused as error:
            messages.error(request, _scan_word(error.code))
            return None
        except ValueError as error:
            messages.error(request, str(error))
            return None
        messages.success(request, _became(action, event))
        return None


def _day(text: str, now: datetime) -> datetime:
    """The day it was said, never after now."""
    try:
        day = datetime.fromisoformat(text[:10]).replace(tzinfo=UTC)
    except ValueError:
        return now
    return now if day.date() >= now.date() else day


def _scan_word(code: str) -> str:
    return {
        "empty": _("The file is empty. Nothing was recorded."),
        "too_large": _("The scan is larger than 5 MB. Nothing was recorded."),
    }.get(code, _("A scan is a PDF, a PNG or a JPEG. Nothing was recorded."))


def _became(action: str, event: ConsentEvent | None) -> str:
    if event is None:
        return _("Waiting: the mailbox itself is asked. Nothing is sent until its owner confirms.")
    if action == "granted" and event.action == "pending":
        return _(
            "Recorded as waiting: without a scan, or against the person's own no, "
            "it grants nothing."
        )
    return _("Recorded: %(what)s.") % {"what": action_word(event.action)}


class EventDeeds(ConsoleAdmin):
    """The receipt of a row, and the paper behind it."""

    def panels_below(self, request: HttpRequest, obj: ConsentEvent) -> Sequence[Panel]:
        context = {
            "event": obj,
            "receipt_url": self.button_url("receipt"),
            "scan_url": self.button_url("scan") if staff.scans_behind(obj).exists() else "",
        }
        return [Panel("admin/console/event_deeds.html", context)]

    def buttons(self) -> Mapping[str, Button]:
        return {"receipt": self.receipt, "scan": self.scan}

    def receipt(self, request: HttpRequest, obj: ConsentEvent) -> HttpResponse:
        """A consent receipt in the names of ISO/IEC TS 27560."""
        (receipt,) = consent_receipts([obj])
        answer = JsonResponse(receipt, json_dumps_params={"indent": 2, "ensure_ascii": False})
        answer["Content-Disposition"] = f'attachment; filename="receipt-{obj.sequence}.json"'
        return answer

    def scan(self, request: HttpRequest, obj: ConsentEvent) -> HttpResponse:
        """The scanned paper; looking at it is on record like any reveal."""
        found = staff.scan_of(event=obj, by=request.user.get_username(), now=timezone.now())
        if found is None:
            raise Http404
        data, kind, name = found
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        return HttpResponse(data, content_type=kind, headers=headers)


class SubjectDeeds(ConsoleAdmin):
    """Why may we text them? They used a right: open it."""

    def panels(self, request: HttpRequest, obj: Subject) -> Sequence[Panel]:
        context = {
            "subject": obj,
            "why_url": why_url("subject", obj.pk),
            "ask_url": self.button_url("ask"),
            "kinds": [(str(kind), request_word(kind)) for kind in RightsRequest.Kind],
            "reach_url": self.button_url("reach") if obj.kind == "staff" else "",
            "open": RightsRequest.objects.filter(subject=obj, state__in=rights.UNSETTLED),
        }
        return [Panel("admin/console/subject_deeds.html", context)]

    def buttons(self) -> Mapping[str, Button]:
        return {"ask": self.ask, "reach": self.reach}

    def reach(self, request: HttpRequest, obj: Subject) -> None:
        """A role that must be reached, or no longer."""
        if obj.kind != "staff":
            raise Http404
        wanted = request.POST.get("must") == "on"
        staff.require_reach(subject_id=obj.pk, required=wanted)
        messages.success(request, _("Saved."))

    def ask(self, request: HttpRequest, obj: Subject) -> None:
        """Open a request in the person's name."""
        kind = request.POST.get("kind", "")
        if kind not in RightsRequest.Kind.values:
            raise Http404
        text = request.POST.get("text", "")
        rights.open_request(obj.pk, kind, "staff", timezone.now(), text)
        messages.success(request, _("Noted. Its clock runs in “Requests”."))
