"""GET /api/v1/notifications: what was told to whom, what was not, and why."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from notifications.api_serializers import (
    NotificationOut,
    NotificationPageOut,
    NotificationQuery,
)
from notifications.models import Attempt, Delivery, Notification, Receipt
from orders.api_pages import page_of, read_query
from orders.api_views import ApiView, problems
from orders.models import Restaurant


class NotificationList(ApiView):
    """The notifications of the key's restaurant."""

    scopes: ClassVar[dict[str, str]] = {"GET": "notifications:read"}

    @extend_schema(
        operation_id="notifications_list",
        summary="List notifications",
        parameters=[NotificationQuery],
        responses={200: NotificationPageOut, **problems(401, 403, 422)},
    )
    def get(self, request: Request) -> Response:
        """Newest first; each with how far its deliveries came."""
        query = read_query(request, NotificationQuery)
        page = page_of(_found(self.restaurant, query), request, query)
        return Response(NotificationPageOut(page).data)


class NotificationDetail(ApiView):
    """One notification."""

    scopes: ClassVar[dict[str, str]] = {"GET": "notifications:read"}

    @extend_schema(
        operation_id="notifications_explain",
        summary="Explain a notification",
        responses={200: NotificationOut, **problems(401, 403, 404)},
    )
    def get(self, request: Request, notification_id: UUID) -> Response:
        """The whole decision trace, every delivery, every try, and what the vendors said."""
        rows = _explained().filter(restaurant=self.restaurant, pk=notification_id)
        notification = rows.first()
        if notification is None:
            raise NotFound
        return Response(NotificationOut(notification).data)


def _found(restaurant: Restaurant, query: dict[str, Any]) -> QuerySet[Notification]:
    rows = (
        Notification.objects.filter(restaurant=restaurant)
        .select_related("order")
        .prefetch_related(Prefetch("deliveries", _deliveries()))
    )
    if "order" in query:
        rows = rows.filter(order__public_id=query["order"])
    if "audience" in query:
        rows = rows.filter(audience=query["audience"])
    if "state" in query:
        deliveries = Delivery.objects.filter(notification=OuterRef("pk"), state=query["state"])
        rows = rows.filter(Exists(deliveries))
    return rows


def _explained() -> QuerySet[Notification]:
    attempts = Prefetch("attempts", Attempt.objects.order_by("number"))
    receipts = Prefetch("receipts", Receipt.objects.order_by("received_at", "id"))
    deliveries = _deliveries().prefetch_related(attempts, receipts)
    return Notification.objects.select_related("order", "event", "route").prefetch_related(
        Prefetch("deliveries", deliveries)
    )


def _deliveries() -> QuerySet[Delivery]:
    """In the order they are tried. Secrets and addresses are left in the database."""
    return (
        Delivery.objects.select_related("account", "address")
        .only(
            *(field.name for field in Delivery._meta.concrete_fields),
            "account__name",
            "account__provider",
            "address__masked",
        )
        .order_by("step", "id")
    )
