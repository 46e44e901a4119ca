"""Addresses of the consent API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from notifications.consent_api import (
    AddressConsent,
    ConsentEventList,
    DecisionPreview,
    RightsRequestList,
)

urlpatterns = [
    path("consent-events", ConsentEventList.as_view(), name="api-consent-events"),
    path(
        "addresses/<uuid:address_id>/consent", AddressConsent.as_view(), name="api-address-consent"
    ),
    path("decisions/preview", DecisionPreview.as_view(), name="api-decision-preview"),
    path("rights-requests", RightsRequestList.as_view(), name="api-rights-requests"),
]
