"""Addresses for sources."""

from django.urls import path

from orders.webhooks import receive_call

app_name = "orders"

urlpatterns = [path("hooks/orders/<str:token>/", receive_call, name="source-webhook")]
