"""The guest's order page and the staff's timeline."""

from django.urls import path

from notifications import pages

urlpatterns = [
    path("o/<uuid:public_id>/", pages.guest_order, name="order-page"),
    path("o/<uuid:public_id>/live.json", pages.guest_order_live, name="order-live"),
    path("board/orders/<uuid:public_id>/", pages.staff_timeline, name="board-order"),
]
