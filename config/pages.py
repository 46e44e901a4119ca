"""The home page: what runs here, for whoever opens it first."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from config import demo
from notifications.page_data import health_strip, latest_alerts
from orders.models import Order, Restaurant
from orders.page_data import restaurant_ids_of


@require_GET
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Links for everybody; alerts and an order for managers, and for all of a demo restaurant.

    The demo's login is shown only while a demo restaurant exists: its data are invented.
    """
    now = timezone.now()
    demo_ids = list(Restaurant.objects.filter(is_demo=True).values_list("pk", flat=True))
    shown = sorted({*restaurant_ids_of(request.user), *demo_ids})
    recent = (
        Order.objects.filter(restaurant_id__in=shown).order_by("-is_open", "-created_at").first()
    )
    context = {
        "restaurants": list(
            Restaurant.objects.filter(pk__in=shown).order_by("name").values_list("name", flat=True)
        ),
        "may_see": bool(shown),
        "demo_login": demo.login() if demo_ids else None,
        "has_sandbox": settings.DEMO,
        "sandbox_url": settings.SANDBOX_URL,
        "recent": recent,
        "alerts": latest_alerts(shown, now) if shown else [],
        "strip": health_strip(shown, now) if shown else [],
    }
    return render(request, "home.html", context)
