from django.contrib import admin
from django.urls import include, path

from config import health, pages
from config.changes import changes_page
from notifications.admin.why_page import why_page

urlpatterns = [
    path("", pages.home, name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("admin/why/<slug:what>/<str:pk>/", admin.site.admin_view(why_page), name="console-why"),
    path("admin/changes/", admin.site.admin_view(changes_page), name="console-changes"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("config.api_urls")),
    path("", include("orders.urls")),
    path("", include("orders.page_urls")),
    path("", include("notifications.urls")),
]
