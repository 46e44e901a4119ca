"""What every page of the manager console shares: only rows of one's own, one question a page.

A person of the staff sees the rows of the restaurants they are a member of, a superuser sees all.
That holds for lists, change pages, buttons, select boxes, autocompletes and filters alike, because
all of them read ``ConsoleAdmin.visible``. Django's model permissions play no part for managers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.admin import RelatedFieldListFilter, ShowFacets
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Model, QuerySet, URLField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.views import ChangeList

from consents.models import SenderGroup

#: what a button does: it returns an answer of its own or None (back to the page)
Button = Callable[[HttpRequest, Any], HttpResponse | None]


@dataclass(frozen=True, slots=True)
class Panel:
    """A piece of a change page that is not a form field: a template and what it needs."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)


def tag(text: object, tone: str = "quiet") -> SafeString:
    """A word with a tone: good | warn | bad | quiet. The shape beside it is drawn by the CSS."""
    return format_html('<span class="tag tag-{}">{}</span>', tone, text)


def lines(first: object, second: object = "") -> SafeString:
    """A cell of two lines, the second one quieter."""
    if not second:
        return format_html('<span class="cell">{}</span>', first)
    return format_html('<span class="cell">{}<small>{}</small></span>', first, second)


def manages_anything(user: Any) -> bool:
    """Whether ``user`` may open the console at all; asked once per request."""
    if not (user.is_active and user.is_staff):
        return False
    if user.is_superuser:
        return True
    known: bool | None = getattr(user, "_manages_anything", None)
    if known is None:
        known = user.memberships.exists()
        user._manages_anything = known
    return known


def _clock(user: Any) -> AbstractContextManager[None]:
    """Times as the person's restaurants show them; UTC when these lie in several zones."""
    groups = SenderGroup.objects.exclude(restaurant=None)
    if not user.is_superuser:
        groups = groups.filter(restaurant__members__user_id=user.pk)
    names = set(groups.values_list("restaurant__timezone", flat=True).distinct()[:2])
    try:
        return timezone.override(ZoneInfo(names.pop()) if len(names) == 1 else None)
    except (ZoneInfoNotFoundError, ValueError):
        return timezone.override(None)


def _rendered(answer: HttpResponse) -> HttpResponse:
    """Render now: once the view has returned, the person's clock is gone."""
    return answer.render() if isinstance(answer, TemplateResponse) else answer


class _ChangeList(ChangeList):  # type: ignore[misc]
    """An unfiltered list is all there is; nobody needs a "show all" beside it."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class MineFilter(RelatedFieldListFilter):
    """A filter by a related row that offers only the rows the person may see."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: Any
    ) -> list[tuple[Any, Any]]:
        rows = model_admin.visible_related(field.related_model, request)
        return [(row.pk, str(row)) for row in rows]


class _Scoped:
    """Scoping shared by pages and inlines."""

    admin_site: Any

    def visible_related(self, model: type[Model], request: HttpRequest) -> QuerySet[Any]:
        """The rows of ``model`` this person may choose from; none when it has no page here."""
        page = self.admin_site._registry.get(model)
        if isinstance(page, ConsoleAdmin):
            return page.visible(request)
        rows = model._default_manager.all()
        return rows if request.user.is_superuser else rows.none()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["queryset"] = self.visible_related(db_field.related_model, request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        made = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if made is not None and isinstance(made.widget, RelatedFieldWidgetWrapper):
            for link in ("add", "change", "delete", "view"):
                setattr(made.widget, f"can_{link}_related", False)
        return made


class ConsoleAdmin(_Scoped, ModelAdmin):  # type: ignore[misc]
    """A page of the console. Read-only unless it says otherwise.

    ``owner_path`` leads from a row to the SenderGroup it belongs to ("" = the row is one);
    None = the same for everybody. Apps above override ``owners`` to lead elsewhere.
    """

    owner_path: ClassVar[str | None] = "sender_group"
    #: the heading of the list, of a row's page, and what to do when there is nothing yet
    question: ClassVar[Any] = ""
    question_one: ClassVar[Any] = ""
    empty_hint: ClassVar[Any] = ""
    #: what managers may do; a superuser may not do more unless ``superuser_can`` says so
    can_add: ClassVar[bool] = False
    can_change: ClassVar[bool] = False
    can_delete: ClassVar[bool] = False
    superuser_can: ClassVar[frozenset[str]] = frozenset()

    list_before_template = "admin/console/list_top.html"
    change_form_outer_before_template = "admin/console/page_top.html"
    change_form_outer_after_template = "admin/console/page_bottom.html"
    formfield_overrides = {URLField: {"assume_scheme": "https"}}
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # counting every filter value reads whole tables
    empty_value_display = "–"

    # -- whose rows ---------------------------------------------------------------------------

    def owners(self, user: Any) -> QuerySet[Any]:
        """The owners whose rows ``user`` may see."""
        return SenderGroup.objects.filter(restaurant__members__user=user)

    def visible(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows this person may see, nothing joined."""
        return self.mine(self.model._default_manager.all(), request)

    def mine(self, rows: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
        """``rows`` cut down to the person's own."""
        user = request.user
        if not manages_anything(user):
            return rows.none()
        if user.is_superuser or self.owner_path is None:
            return rows
        return rows.filter(**{f"{self.owner_path or 'pk'}__in": self.owners(user)})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.mine(super().get_queryset(request), request)

    # -- what they may do ---------------------------------------------------------------------

    def _may(self, request: HttpRequest, obj: Any, deed: str) -> bool:
        user = request.user
        allowed = getattr(self, f"can_{deed}", True) or (
            user.is_superuser and deed in self.superuser_can
        )
        if not allowed or not manages_anything(user):
            return False
        if obj is None or user.is_superuser:
            return True
        return bool(self.visible(request).filter(pk=obj.pk).exists())

    def has_module_permission(self, request: HttpRequest) -> bool:
        return manages_anything(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj, "view")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, None, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj, "delete")

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        # somebody else's row and no row at all must look the same
        raise Http404

    # -- headings and panels ------------------------------------------------------------------

    def heading(self, request: HttpRequest) -> Any:
        """The question the list answers."""
        return self.question or self.model._meta.verbose_name_plural.capitalize()

    def heading_one(self, request: HttpRequest, obj: Any) -> Any:
        """The question the page of one row answers."""
        return self.question_one or str(obj)

    def panels(self, request: HttpRequest, obj: Any) -> Sequence[Panel]:
        """What stands above the form of ``obj``."""
        return ()

    def panels_below(self, request: HttpRequest, obj: Any) -> Sequence[Panel]:
        """What stands below the form of ``obj``."""
        return ()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": self.heading(request), **(extra_context or {})}
        with _clock(request.user):
            return _rendered(super().changelist_view(request, context))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"show_save_and_add_another": False, **(extra_context or {})}
        with _clock(request.user):
            return _rendered(super().changeform_view(request, object_id, form_url, context))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _ChangeList

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj") or context.get("original")
        if obj is not None:
            context["title"] = self.heading_one(request, obj)
            context["panels"] = self.panels(request, obj)
            context["panels_below"] = self.panels_below(request, obj)
        answer: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return answer

    # -- buttons ------------------------------------------------------------------------------

    def buttons(self) -> Mapping[str, Button]:
        """Last part of the address -> what a POST to it does with the row."""
        return {}

    def button_url(self, slug: str) -> str:
        """The URL name of a button of this page."""
        return f"admin:{self._url_stem}_{slug}"

    @property
    def _url_stem(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def get_urls(self) -> list[URLPattern]:
        pressed = [
            path(
                f"<path:object_id>/{slug}/",
                self.admin_site.admin_view(partial(self._press, act)),
                name=f"{self._url_stem}_{slug}",
            )
            for slug, act in self.buttons().items()
        ]
        return [*pressed, *super().get_urls()]

    def _press(self, act: Button, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        obj = self.get_object(request, unquote(object_id))
        if obj is None or not self.has_view_permission(request, obj):
            raise Http404
        return act(request, obj) or redirect(f"admin:{self._url_stem}_change", quote(obj.pk))


class ConsoleInline(_Scoped, TabularInline):  # type: ignore[misc]
    """Rows of the row above. Read-only unless it says otherwise; the page above is the guard."""

    extra = 0
    can_add: ClassVar[bool] = False
    can_change: ClassVar[bool] = False
    can_remove: ClassVar[bool] = False
    show_change_link = False
    hide_title = True
    per_page = 30
    ordering = ("pk",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return manages_anything(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_add and manages_anything(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_change and manages_anything(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_remove and manages_anything(request.user)
