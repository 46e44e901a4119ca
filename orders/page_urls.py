"""The staff board."""

from django.urls import path

from orders import pages

urlpatterns = [
    path("board/", pages.board, name="board"),
    path("board/live.json", pages.board_live, name="board-live"),
    path("board/kitchens/<int:location_id>/busy/", pages.busy_kitchen, name="board-busy"),
    path("board/orders/<uuid:public_id>/update/", pages.update_order, name="board-update"),
]
