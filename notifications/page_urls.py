"""The guest's order page and the staff's timeline."""

from django.urls import path

from notifications import pages, way_pages

urlpatterns = [
    path("o/<uuid:public_id>/", pages.guest_order, name="order-page"),
    path("o/<uuid:public_id>/live.json", pages.guest_order_live, name="order-live"),
    path("o/<uuid:public_id>/mute/", pages.mute_order, name="order-mute"),
    path("o/<uuid:public_id>/push/", way_pages.subscribe, name="order-push"),
    path("o/<uuid:public_id>/push/stop/", way_pages.unsubscribe, name="order-push-stop"),
    path("sw.js", way_pages.service_worker, name="service-worker"),
    path("board/orders/<uuid:public_id>/", pages.staff_timeline, name="board-order"),
]
