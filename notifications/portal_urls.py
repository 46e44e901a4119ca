"""The customer portal: short addresses, because they travel in text messages."""

from django.urls import path

from notifications import opt_in_pages, preference_pages, unsubscribe_pages

urlpatterns = [
    path("u/<str:token>/", unsubscribe_pages.unsubscribe, name="unsubscribe"),
    path("preferences/<slug:slug>/", preference_pages.preferences, name="preferences"),
    path(
        "preferences/<slug:slug>/copy/<uuid:public_id>/",
        preference_pages.download,
        name="preferences-copy",
    ),
    path("p/<int:restaurant_id>/<str:token>/", preference_pages.open_link, name="open-link"),
    path("c/<int:restaurant_id>/<str:token>/", opt_in_pages.confirm, name="opt-in-confirm"),
    path("opt-in/<slug:slug>/", opt_in_pages.opt_in, name="opt-in"),
    path("opt-in/<slug:slug>/terms/", opt_in_pages.terms, name="opt-in-terms"),
]
