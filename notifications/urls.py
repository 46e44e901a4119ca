from django.urls import include, path

from notifications.acknowledge import acknowledge
from notifications.webhooks import ProviderWebhook

urlpatterns = [
    path("hooks/messages/<str:token>/", ProviderWebhook.as_view(), name="provider-webhook"),
    path("ack/<uuid:notification_id>/", acknowledge, name="acknowledge"),
    path("", include("notifications.page_urls")),
    path("", include("notifications.portal_urls")),
]
