"""Addresses of the notifications API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from notifications.api import NotificationDetail, NotificationList

urlpatterns = [
    path("notifications", NotificationList.as_view(), name="api-notifications"),
    path(
        "notifications/<uuid:notification_id>",
        NotificationDetail.as_view(),
        name="api-notification",
    ),
]
