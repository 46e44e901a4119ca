"""/api/v1: consents, why a message may go, and requests about rights.

It stands here and not in ``consents``: API keys and restaurants belong to ``orders``, which
``consents`` does not know, and a preview asks the question that planning asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from consents import rights, services
from consents.addresses import AddressInvalid
from consents.identity import find_or_create_address
from consents.models import (
    AddressOrigin,
    ConsentAction,
    ConsentEvent,
    ConsentState,
    ContactAddress,
    NoticeVersion,
    SubjectAddress,
    Suppression,
)
from consents.selectors import load_snapshots
from notifications import why
from notifications.consent_api_serializers import (
    ConsentEventIn,
    ConsentOut,
    PreviewIn,
    PreviewOut,
    RecordedOut,
    RightsRequestIn,
    RightsRequestOut,
)
from notifications.selectors import restaurant_config
from orders.api_problems import Problem, invalid, invalid_at, problem_body
from orders.api_views import IDEMPOTENCY_KEY, WRITE_PROBLEMS, ApiView, problems
from orders.idempotency import HEADER, idempotent
from orders.models import Order

READ, WRITE = "consents:read", "consents:write"
_SHOWN = 200


class ConsentsView(ApiView):
    """What these views share: rows of the key's sender group and no others."""

    def address(self, public_id: UUID) -> ContactAddress:
        """The address of that id; another seller's is as absent as one nobody knows."""
        rows = ContactAddress.objects.filter(sender_group=self.restaurant.sender_group_id)
        found = rows.defer("value").filter(public_id=public_id).first()
        if found is None:
            raise NotFound
        return found

    def order(self, public_id: UUID) -> Order:
        """The order of that id, of the key's restaurant."""
        found = Order.objects.filter(restaurant=self.restaurant, public_id=public_id).first()
        if found is None:
            raise NotFound
        return found


class ConsentEventList(ConsentsView):
    """Statements about being told."""

    scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(
        operation_id="consent_events_create",
        summary="Record what a person said",
        parameters=[IDEMPOTENCY_KEY],
        request=ConsentEventIn,
        responses={201: RecordedOut, **WRITE_PROBLEMS},
    )
    def post(self, request: Request) -> Any:
        """The Idempotency-Key is required. A statement against the person's own no is 409.

        The refused try is on record all the same, as 'pending', and changes nothing. A grant
        without notice and origin is 'pending' too: nobody could show it.
        """
        if not request.headers.get(HEADER):
            detail = "is required here: a consent is recorded once"
            raise invalid([{"header": HEADER, "detail": detail, "code": "required"}])
        return self._record(request)

    @idempotent
    def _record(self, request: Request) -> Response:
        body = _checked(ConsentEventIn, request)
        now = timezone.now()
        address = self._named(body["address"], now)
        recorded = self._say(address, body, request.headers[HEADER], now)
        if recorded.is_refused or body["action"] == ConsentAction.LIFTED:
            # answered, not raised: what was tried stays in the ledger
            problem = Problem(
                "consent-refused",
                "this address refused; only the person can undo it, by START or on their page",
                errors=[{"pointer": "#/action", "detail": "is refused", "code": "refused"}],
            )
            return Response(
                problem_body(problem, instance=request.path),
                status=problem.status_code,
                content_type="application/problem+json",
            )
        shape = {"address": address, "asked": body["action"], "event": recorded.event}
        return Response(RecordedOut(shape).data, status=201)

    def _say(
        self, address: ContactAddress, body: Mapping[str, Any], key: str, now: datetime
    ) -> services.Recorded:
        said: dict[str, Any] = {
            "address_id": address.pk,
            "source": "api",
            "actor_type": "api",
            "actor_id": f"key:{self.api_key.prefix}",
            "occurred_at": body["occurred_at"],
            "now": now,
            "idempotency_key": f"api:{self.api_key.pk}:{key}",
            "evidence": {"origin": body["origin"]} if body.get("origin") else None,
        }
        action = body["action"]
        if action == ConsentAction.LIFTED:
            return services.record_consent(
                **said, purpose=body["purpose"], action=ConsentAction.PENDING
            )
        if action == ConsentAction.GRANTED and body["scope"] != "category":
            raise invalid_at(["scope"], "a grant is about one purpose", "invalid")
        if body["scope"] == "all":
            return services.withdraw(**said, scope="all", purpose=body["purpose"])
        return services.record_consent(
            **said,
            purpose=body["purpose"],
            action=action,
            scope=body["scope"],
            notice_version_id=self._notice(body.get("notice", "")),
            language=body.get("language", ""),
        )

    def _named(self, named: Mapping[str, Any], now: datetime) -> ContactAddress:
        if "id" in named:
            return self.address(named["id"])
        try:
            return find_or_create_address(
                sender_group_id=self.restaurant.sender_group_id,
                channel=named["channel"],
                value=named["value"],
                region=self.restaurant.country,
                origin=AddressOrigin.POS,
                at=now,
            )
        except AddressInvalid as error:
            raise invalid_at(["address", "value"], error.reason, error.reason) from None

    def _notice(self, name: str) -> int | None:
        if not name:
            return None
        key, _sep, version = name.rpartition(":")
        if version.isascii() and version.isdigit() and len(version) < 9:
            group = self.restaurant.sender_group_id
            rows = NoticeVersion.objects.filter(Q(sender_group=group) | Q(sender_group=None))
            found = rows.filter(key=key, version=int(version)).order_by("sender_group_id").first()
            if found is not None:
                return found.pk
        raise invalid_at(["notice"], "nobody published this wording", "unknown")


class AddressConsent(ConsentsView):
    """What one address agreed to."""

    scopes: ClassVar[dict[str, str]] = {"GET": READ}

    @extend_schema(
        operation_id="addresses_consent",
        summary="See what an address agreed to",
        responses={200: ConsentOut, **problems(401, 403, 404)},
    )
    def get(self, request: Request, address_id: UUID) -> Response:
        """State and ledger rows of the address's present holder, the newest row first."""
        address = self.address(address_id)
        about: dict[str, Any] = {
            "sender_group": address.sender_group_id,
            "address_hash": address.address_hash,
            "generation": address.generation,
            "channel": address.channel,
        }
        events = ConsentEvent.objects.filter(**about).select_related("notice_version")
        shape = {
            "address": address,
            "states": ConsentState.objects.filter(**about).order_by("purpose"),
            "suppressions": Suppression.objects.filter(**about).order_by("scope"),
            "events": events.order_by("-sequence")[:_SHOWN],
            "events_total": events.count(),
        }
        return Response(ConsentOut(shape).data)


class DecisionPreview(ConsentsView):
    """Why a message would go, or would not."""

    scopes: ClassVar[dict[str, str]] = {"POST": READ}

    @extend_schema(
        operation_id="decisions_preview",
        summary="Ask whether a message may go",
        parameters=[IDEMPOTENCY_KEY],
        request=PreviewIn,
        responses={200: PreviewOut, **WRITE_PROBLEMS},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A dry run: every rule that was asked, its verdict and the policy's version."""
        body = _checked(PreviewIn, request)
        now = timezone.now()
        order = self.order(body["order"]) if "order" in body else None
        pairs = self._pairs(body, order)
        config = restaurant_config(self.restaurant.pk)
        question = why.Question(body["purpose"], body.get("trigger", ""), body["critical"])
        snapshots = load_snapshots([(subject, address.pk) for subject, address in pairs])
        data = []
        for subject, address in pairs:
            seen = snapshots[subject, address.pk]
            made = why.decide_now(question, seen, config=config, now=now, order=order)
            facts = {"address": address, "events": made.event_ids}
            for name in ("verdict", "code", "until", "basis", "policy_version", "rules"):
                facts[name] = getattr(made, name)
            data.append(facts)
        shape = {"object": "decision_preview", "decided_at": now, "data": data}
        return Response(PreviewOut(shape).data)

    def _pairs(
        self, body: Mapping[str, Any], order: Order | None
    ) -> list[tuple[UUID | None, ContactAddress]]:
        if "address" in body:
            address = self.address(body["address"])
            if order is not None:
                return [(order.subject_id, address)]
            return [(subject, address) for subject in why.people_of(address.pk)]
        if order is None or order.subject is None:
            return []
        found = order.subject.addresses.defer("value").order_by("pk")
        return [(order.subject_id, address) for address in found]


class RightsRequestList(ConsentsView):
    """Requests people make about their data."""

    scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(
        operation_id="rights_requests_create",
        summary="Pass on a request about somebody's data",
        parameters=[IDEMPOTENCY_KEY],
        request=RightsRequestIn,
        responses={201: RightsRequestOut, **WRITE_PROBLEMS},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """It waits in the inbox until somebody of the staff checked who asks."""
        body = _checked(RightsRequestIn, request)
        made = rights.open_request(
            self._who(body), body["kind"], "api", timezone.now(), body["text"]
        )
        return Response(RightsRequestOut(made).data, status=201)

    def _who(self, body: Mapping[str, Any]) -> UUID:
        if "order" in body:
            subject_id = self.order(body["order"]).subject_id
            if subject_id is None:
                raise invalid_at(["order"], "nobody is known to this order", "unknown")
            return subject_id
        address = self.address(body["address"])
        people = list(SubjectAddress.objects.filter(address=address)[:2])
        if len(people) != 1:
            detail = "nobody or several people are known at this address: name an order"
            raise invalid_at(["address"], detail, "ambiguous")
        return people[0].subject_id


def _checked(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The body as ``kind`` reads it; raises ValidationError."""
    read = kind(data=request.data)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)
