"""The usual pattern, kept as the yardstick: one Celery task per message, ORM get and save,
the vendor's SDK over requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from celery import shared_task
from django.conf import settings
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from notifications.models import Attempt, Delivery


class _ToSandbox(TwilioHttpClient):  # type: ignore[misc]
    """The SDK's own client with another host."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        url = url.replace("https://api.twilio.com", f"{settings.SANDBOX_URL}/twilio")
        return super().request(method, url, *args, **kwargs)


_clients: dict[str, Client] = {}


@shared_task(name="bench.send_one", queue="default", acks_late=True)
def send_one(delivery_id: int) -> None:
    """Send one message the usual way."""
    delivery = Delivery.objects.select_related(
        "account", "address", "notification__order__restaurant", "notification__order__location"
    ).get(pk=delivery_id)
    if delivery.state != "queued" or delivery.address is None:
        return
    values = delivery.account.settings
    client = _clients.get(values["account_sid"])
    if client is None:
        client = _clients[values["account_sid"]] = Client(
            values["account_sid"], values["auth_token"], http_client=_ToSandbox()
        )
    order = delivery.notification.order
    assert order is not None
    attempt = Attempt.objects.create(
        id=uuid4(), delivery=delivery, account=delivery.account, number=1,
        started_at=datetime.now(UTC),
    )  # fmt: skip
    sent = client.messages.create(
        to=delivery.address.value,
        from_=values["sender"],
        body=f"{order.restaurant.name}: order {order.display} is ready for pickup at "
        f"{order.location.name if order.location else ''}. "
        f"{settings.PUBLIC_URL}/o/{order.public_id}/",
        status_callback=f"{settings.PUBLIC_URL}/hooks/messages/{delivery.account.token}/"
        f"?a={attempt.pk}",
        validity_period=1800,
    )
    attempt.outcome = "accepted"
    attempt.vendor_id = sent.sid
    attempt.finished_at = datetime.now(UTC)
    attempt.save()
    delivery.state = "accepted"
    delivery.vendor_id = sent.sid
    delivery.settled_at = datetime.now(UTC)
    delivery.save()
