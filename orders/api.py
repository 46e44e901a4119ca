"""/api/v1/orders: the order update in, the order out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from orders import rest
from orders.api_fields import MomentField, TextField
from orders.api_output import OrderOut, OrderPageOut, order_shape, shown_orders, source_names
from orders.api_pages import PageQuery, page_of, read_query
from orders.api_problems import invalid_at
from orders.api_serializers import STATES, EtaIn, OrderPatchIn, OrderUpdateIn, SplitIn, StatusIn
from orders.api_views import IDEMPOTENCY_KEY, WRITE_PROBLEMS, ApiView, problems
from orders.idempotency import idempotent
from orders.models import Order, OrderAlias, Restaurant
from orders.uniting import order_now

READ, WRITE = "orders:read", "orders:write"


class OrderQuery(PageQuery):
    """Which orders to list."""

    state = serializers.ChoiceField(choices=STATES, required=False)
    open = serializers.BooleanField(required=False, allow_null=True, default=None)
    updated_since = MomentField(required=False, help_text="changed at or after this time")
    external_id = TextField(
        required=False, max_length=200, help_text="any system's id of the order, exactly"
    )


class OrdersView(ApiView):
    """What the views of orders share."""

    def order(self, order_id: UUID) -> Order:
        """The order of that public id; another restaurant's is as absent as one nobody made."""
        rows = shown_orders().filter(restaurant=self.restaurant)
        order = order_now(rows.filter(public_id=order_id).first(), rows)
        if order is None:
            raise NotFound
        return order

    def change(
        self, order: Order, update: Mapping[str, Any], occurred_at: datetime | None = None
    ) -> Response:
        """Apply ``update`` to ``order`` and answer with what it became."""
        account = rest.rest_account(restaurant=self.restaurant)
        name = rest.id_for_account(order=order, account=account)
        done = rest.submit_update(
            account=account,
            update={"order": {"id": name}, **update},
            received_at=timezone.now(),
            occurred_at=occurred_at,
        )
        return self.answer(shown_orders().get(pk=done.order_id), done.warnings)

    def answer(
        self, order: Order, warnings: Sequence[str] = (), code: int = status.HTTP_200_OK
    ) -> Response:
        """``order`` as the API shows it, with what a write could not use."""
        shape = order_shape(order, source_names(self.restaurant))
        if warnings:
            shape["warnings"] = list(warnings)
        headers = {}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = f"{settings.PUBLIC_URL}/api/v1/orders/{order.public_id}"
        return Response(OrderOut(shape).data, status=code, headers=headers)


class OrderList(OrdersView):
    """All orders of the key's restaurant."""

    scopes: ClassVar[dict[str, str]] = {"GET": READ, "POST": WRITE}

    @extend_schema(
        operation_id="orders_list",
        summary="List orders",
        parameters=[OrderQuery],
        responses={200: OrderPageOut, **problems(401, 403, 422)},
    )
    def get(self, request: Request) -> Response:
        """Newest first. To find one order by your own id, ask with external_id."""
        query = read_query(request, OrderQuery)
        page = page_of(_found(self.restaurant, query), request, query)
        names = source_names(self.restaurant)
        shapes = [order_shape(order, names) for order in page.data]
        return Response(
            OrderPageOut(
                {
                    "object": page.object,
                    "has_more": page.has_more,
                    "next_cursor": page.next_cursor,
                    "next": page.next,
                    "data": shapes,
                }
            ).data
        )

    @extend_schema(
        operation_id="orders_create",
        summary="Create or update an order",
        parameters=[IDEMPOTENCY_KEY],
        request=OrderUpdateIn,
        responses={201: OrderOut, 200: OrderOut, **WRITE_PROBLEMS},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """An order update. An id nobody used makes an order (201), a known one changes it (200)."""
        body = _checked(OrderUpdateIn, request)
        now = timezone.now()
        account = rest.rest_account(restaurant=self.restaurant)
        done = rest.submit_update(account=account, update=body, received_at=now)
        order = shown_orders().get(pk=done.order_id)
        return self.answer(order, done.warnings, 201 if order.created_at >= now else 200)


class OrderDetail(OrdersView):
    """One order."""

    scopes: ClassVar[dict[str, str]] = {"GET": READ, "PATCH": WRITE}

    @extend_schema(
        operation_id="orders_retrieve",
        summary="Retrieve an order",
        responses={200: OrderOut, **problems(401, 403, 404)},
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """The order as its sources' statements add up to now."""
        return self.answer(self.order(order_id))

    @extend_schema(
        operation_id="orders_change",
        summary="Change an order",
        parameters=[IDEMPOTENCY_KEY],
        request=OrderPatchIn,
        responses={200: OrderOut, **WRITE_PROBLEMS},
    )
    @idempotent
    def patch(self, request: Request, order_id: UUID) -> Response:
        """Absent members stay. Changed items are told to the guest as a readable difference."""
        body = _checked(OrderPatchIn, request)
        return self.change(self.order(order_id), body)


class OrderStatus(OrdersView):
    """The state of one order."""

    scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(
        operation_id="orders_set_status",
        summary="Move an order, or one part of it, to a state",
        parameters=[IDEMPOTENCY_KEY],
        request=StatusIn,
        responses={200: OrderOut, **WRITE_PROBLEMS},
    )
    @idempotent
    def post(self, request: Request, order_id: UUID) -> Response:
        """The order's state follows from its parts where it has several."""
        body = _checked(StatusIn, request)
        order = self.order(order_id)
        update: dict[str, Any] = {"state": body["state"]}
        if "part" in body:
            update = {"parts": [{"id": _part_of(order, body), "state": body["state"]}]}
        if "reason" in body:
            update["reason"] = body["reason"]
        said_at = body.get("occurred_at")
        return self.change(order, update, said_at and MomentField().run_validation(said_at))


class OrderSplit(OrdersView):
    """The parts of one order."""

    scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(
        operation_id="orders_split",
        summary="Split an order into parts",
        parameters=[IDEMPOTENCY_KEY],
        request=SplitIn,
        responses={200: OrderOut, **WRITE_PROBLEMS},
    )
    @idempotent
    def post(self, request: Request, order_id: UUID) -> Response:
        """These are its parts from now on; parts that are not listed are removed."""
        body = _checked(SplitIn, request)
        order = self.order(order_id)
        parts = rest.with_origins(order, body["parts"])
        return self.change(order, {"mode": "snapshot", "parts": parts})


class OrderEta(OrdersView):
    """The estimates of one order."""

    scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(
        operation_id="orders_set_eta",
        summary="Give a new estimate",
        parameters=[IDEMPOTENCY_KEY],
        request=EtaIn,
        responses={200: OrderOut, **WRITE_PROBLEMS},
    )
    @idempotent
    def post(self, request: Request, order_id: UUID) -> Response:
        """Whether the guest is told is decided by the delay rules of the location."""
        body = _checked(EtaIn, request)
        order = self.order(order_id)
        if "part" not in body:
            return self.change(order, {"times": body})
        part = {"id": _part_of(order, body), "est_ready_at": body["est_ready_at"]}
        return self.change(order, {"parts": [part]})


def _checked(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The body, once ``kind`` found nothing wrong with it; raises ValidationError."""
    kind(data=request.data).is_valid(raise_exception=True)
    return cast("dict[str, Any]", request.data)


def _part_of(order: Order, body: Mapping[str, Any]) -> str:
    """The part the body names; raises Problem when the order has no such part."""
    wanted: str = body["part"]
    names = [part.ref for part in order.parts.all() if part.kind != "order"]
    if wanted not in names:
        known = ", ".join(names) or "none: split the order first"
        raise invalid_at(["part"], f"the order has no such part; its parts: {known}", "unknown")
    return wanted


def _found(restaurant: Restaurant, query: Mapping[str, Any]) -> QuerySet[Order]:
    rows = shown_orders().filter(restaurant=restaurant, same_as=None)
    if "state" in query:
        rows = rows.filter(state=query["state"])
    if query["open"] is not None:
        rows = rows.filter(is_open=query["open"])
    if "updated_since" in query:
        rows = rows.filter(updated_at__gte=query["updated_since"])
    if "external_id" in query:
        named = OrderAlias.objects.filter(restaurant=restaurant, external_id=query["external_id"])
        rows = rows.filter(pk__in=named.values("order_id"))
    return rows
