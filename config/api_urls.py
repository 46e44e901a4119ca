"""Everything below /api/v1/."""

from __future__ import annotations

from typing import Any

from django.urls import include, path, re_path
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularAPIView

from config.problems import explain, not_found
from consents.models import ConsentAction
from notifications.consent_api_serializers import PURPOSES, REQUEST_KINDS
from notifications.models import DeliveryState
from notifications.models.route import Audience
from orders.api_serializers import CONTACT_KINDS, FULFILLMENTS, LEG_STATES, PART_KINDS, STATES

#: names of the value sets in the document; without them it would call most of them "state"
SCHEMA_SETTINGS: dict[str, Any] = {
    "ENUM_NAME_OVERRIDES": {
        name: [(value, value) for value in values]
        for name, values in {
            "OrderState": STATES,
            "LegState": LEG_STATES,
            "DeliveryState": DeliveryState.values,
            "Audience": Audience.values,
            "FulfillmentType": FULFILLMENTS,
            "PartKind": PART_KINDS,
            "ShownPartKind": [*PART_KINDS, "order"],
            "ContactKind": CONTACT_KINDS,
            "Purpose": PURPOSES,
            "ConsentAction": ConsentAction.values,
            "RightsRequestKind": REQUEST_KINDS,
        }.items()
    }
}

_documented = [
    path("api/v1/", include("orders.api_urls")),
    path("api/v1/", include("notifications.api_urls")),
    path("api/v1/", include("notifications.consent_api_urls")),
]
_schema = SpectacularAPIView.as_view(
    authentication_classes=[],
    permission_classes=[],
    renderer_classes=[OpenApiJsonRenderer2],
    patterns=_documented,
    custom_settings=SCHEMA_SETTINGS,
)

urlpatterns = [
    path("", include("orders.api_urls")),
    path("", include("notifications.api_urls")),
    path("", include("notifications.consent_api_urls")),
    path("openapi.json", _schema, name="api-schema"),
    path("problems/<slug:code>", explain, name="api-problem"),
    re_path(r"", not_found),
]
