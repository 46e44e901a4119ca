"""One row of everything for one restaurant, so that every page has something to show."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.db import models

from consents.models import (
    AddressReveal,
    ConsentEvent,
    ConsentImport,
    ConsentState,
    InboxItem,
    NoticeVersion,
    Preference,
    RightsRequest,
    Suppression,
)
from consents.services import record_consent
from integrations.contracts import State
from notifications import defaults
from notifications.models import InboundMessage, MessageTemplate, Route
from orders.api_keys import create_key
from orders.models import Membership, Restaurant
from tests import factories as make

NOW = datetime(2026, 3, 14, 22, 40, tzinfo=UTC)
#: what must never be in a page
PHONE = "+12025550187"
MAILBOX = "maya.alvarez@example.com"
SECRETS = ("hush-signing-secret", "hush-auth-token", "hush-webhook-path")
_numbers = count(1)


class World:
    """A restaurant with one row of every model the console shows, by model."""

    def __init__(self, name: str) -> None:
        self.restaurant: Restaurant = make.make_restaurant(name=name)
        self.manager = make.make_manager(self.restaurant)
        self.rows: dict[type[models.Model], models.Model] = {}
        self._sources()
        self._people()
        self._messages()

    def add(self, row: Any) -> Any:
        """Remember ``row`` as the example of its model."""
        self.rows[type(row)] = row
        return row

    def _sources(self) -> None:
        self.add(self.restaurant)
        self.add(self.restaurant.sender_group)
        self.location = self.add(make.make_location(self.restaurant))
        self.add(Membership.objects.get(user=self.manager))
        self.source = self.add(
            make.make_source_account(
                self.restaurant,
                settings={"secret": SECRETS[0]},
                location=self.location,
                seen_states=["received", "ready"],
                last_call_at=NOW,
                signature_failures=2,
                last_signature_failure_at=NOW,
                last_signature_hint="the signature header is missing",
            )
        )
        key, self.key_text = create_key(
            restaurant=self.restaurant, name="Till", scopes=["orders:read"]
        )
        self.add(key)

    def _people(self) -> None:
        group = self.restaurant.sender_group
        self.subject = self.add(
            make.make_customer(self.restaurant, phone=f"{PHONE[:-2]}{next(_numbers):02d}")
        )
        make_address = make.make_address
        self.mail = make_address(self.restaurant, channel="email", value=MAILBOX)
        self.address = self.add(self.subject.addresses.get())
        Preference.objects.create(subject=self.subject, channel="sms", is_allowed=True)
        self.notice = self.add(
            NoticeVersion.objects.create(
                sender_group=group,
                key="checkout",
                version=1,
                text="May we text you?",
                sha256="0" * 64,
                valid_from=NOW,
            )
        )
        recorded = record_consent(
            address_id=self.address.pk,
            purpose="order_updates",
            action="granted",
            source="checkout",
            occurred_at=NOW,
            now=NOW,
            idempotency_key=str(uuid.uuid4()),
        )
        self.add(ConsentEvent.objects.get(pk=recorded.event.pk))
        self.add(ConsentState.objects.get(sender_group=group, channel="sms"))
        self.add(
            Suppression.objects.create(
                sender_group=group,
                channel="email",
                address_hash=self.mail.address_hash,
                reason="hard_bounce",
                event_id=recorded.event.pk,
                since=NOW,
            )
        )
        self.inbox = self.add(
            InboxItem.objects.create(
                sender_group=group,
                address=self.address,
                channel="sms",
                topic="opt_out_review",
                text="enough of this",
                received_at=NOW,
            )
        )

        self.add(
            RightsRequest.objects.create(
                sender_group=group,
                kind="access",
                subject=self.subject,
                subject_ref=self.subject.pk,
                received_at=NOW,
                due_at=NOW + timedelta(days=30),
            )
        )
        self.add(
            AddressReveal.objects.create(
                address=self.address, masked=self.address.masked, seen_by="mia", seen_at=NOW
            )
        )
        self.add(
            ConsentImport.objects.create(
                sender_group=group,
                name="list.csv",
                sha256="1" * 64,
                made_by="mia",
                started_at=NOW,
                counts={"granted": 2, "problems": 1},
                problems=[[3, "bad_time"]],
            )
        )

    def _messages(self) -> None:
        self.order = self.add(
            make.make_order(
                self.restaurant,
                account=self.source,
                subject=self.subject,
                state=State.READY,
                items=["Miso bowl"],
                parts=[{"label": "Bowl 1"}, {"label": "Bowl 2"}],
                placed_at=NOW - timedelta(minutes=20),
            )
        )
        self.call = self.add(
            make.make_call(
                self.source,
                at=NOW,
                order=self.order,
                state="quarantined",
                cause="unknown state: PLATED",
                body=b'{"phone": "' + PHONE.encode() + b'"}',
            )
        )
        self.add(make.make_observation(self.order, at=NOW, account=self.source, state="ready"))
        self.event = self.add(make.make_event(self.order, at=NOW))
        self.account = self.add(
            make.make_provider_account(
                self.restaurant,
                provider="twilio",
                settings={
                    "account_sid": "AC" + "1" * 32,
                    "auth_token": SECRETS[1],
                    "sender": "+12025550100",
                },
            )
        )
        self.slack = make.make_provider_account(
            self.restaurant,
            provider="slack",
            settings={"webhook_url": f"https://hooks.slack.com/services/T0/B0/{SECRETS[2]}"},
            stopped_reason="slack: the channel is archived",
        )
        self.note = self.add(
            make.make_notification(
                self.event,
                at=NOW,
                trace=[
                    {"step": "route", "verdict": "matched", "why": "Guest: progress"},
                    {"step": "step 2", "verdict": "dropped", "why": "no email address"},
                ],
            )
        )
        self.delivery = self.add(
            make.make_delivery(
                self.note,
                self.account,
                at=NOW,
                address=self.address,
                state="failed",
                reason="rejected",
                settled_at=NOW,
            )
        )
        self.add(make.make_attempt(self.delivery, at=NOW, outcome="rejected", http_status=400))
        self.add(make.make_receipt(self.delivery, "failed", at=NOW))
        self.add(
            InboundMessage.objects.create(
                account=self.account,
                vendor_id="SM1",
                channel="sms",
                address=self.address,
                order=self.order,
                text="where is it?",
                intent="status",
                outcome="answered",
                received_at=NOW,
            )
        )
        defaults.install(self.restaurant)
        self.add(Route.objects.filter(restaurant=self.restaurant).first())
        self.template = self.add(
            MessageTemplate.objects.get(
                restaurant=self.restaurant,
                trigger="status_changed:ready",
                audience="customer",
                language="en",
            )
        )
