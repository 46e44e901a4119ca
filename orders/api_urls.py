"""Addresses of the orders API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from orders.api import OrderDetail, OrderEta, OrderList, OrderSplit, OrderStatus

urlpatterns = [
    path("orders", OrderList.as_view(), name="api-orders"),
    path("orders/<uuid:order_id>", OrderDetail.as_view(), name="api-order"),
    path("orders/<uuid:order_id>/status", OrderStatus.as_view(), name="api-order-status"),
    path("orders/<uuid:order_id>/split", OrderSplit.as_view(), name="api-order-split"),
    path("orders/<uuid:order_id>/eta", OrderEta.as_view(), name="api-order-eta"),
]
