"""Addresses for sources."""

from django.urls import path

from orders.webhooks import receive_call

app_name = "orders"

urlpatterns = [
    path("hooks/orders/<str:token>/", receive_call, name="source-webhook"),
    # pasted without the slash at its end: a redirect would lose the call and tell nobody
    path("hooks/orders/<str:token>", receive_call),
]
