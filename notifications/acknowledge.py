"""The page behind the "acknowledge" link of a staff alert: one question, one button."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from notifications import steps
from notifications.models import Notification


@never_cache
@require_http_methods(["GET", "POST"])
def acknowledge(request: HttpRequest, notification_id: uuid.UUID) -> HttpResponse:
    """GET shows the button (link previews fetch it), POST acknowledges. The id is the authority."""
    notification = get_object_or_404(
        Notification.objects.select_related("order", "restaurant").exclude(audience="customer"),
        pk=notification_id,
    )
    if request.method == "POST":
        user = request.user
        actor = user.get_username() if user.is_authenticated else _("somebody with the link")
        steps.acknowledge(notification=notification, actor=actor, now=timezone.now())
        notification.refresh_from_db()
    return render(request, "notifications/acknowledge.html", {"notification": notification})
