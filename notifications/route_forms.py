"""The form of a route: triggers to tick, conditions, and steps as rows of select boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold import widgets

from integrations import registry
from notifications.forms import channel_choices, purpose_choices
from notifications.models import ProviderAccount, Route
from notifications.triggers import route_triggers
from orders.models import Location
from orders.phrases import fulfillment_word

#: rows of the steps' table: what is there and two more, at least three
SPARE_ROWS, LEAST_ROWS, MOST_STEPS = 2, 3, 8
TIMED = ("if_not_delivered", "if_not_acknowledged")
FULFILLMENTS = ("pickup", "curbside", "drive_through", "dine_in", "delivery", "shipping")


def when_choices() -> list[tuple[str, str]]:
    """When a step is taken."""
    return [
        ("now", _("at once")),
        ("otherwise", _("if no step above could be taken")),
        ("if_not_delivered", _("if not delivered after")),
        ("if_not_acknowledged", _("if not acknowledged after")),
    ]


class StepsWidget(forms.Widget):
    """A table of steps; a row without a channel is no step."""

    template_name = "admin/console/steps_widget.html"
    accounts: Sequence[tuple[str, str]] = ()

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        # the forms' own renderer does not know the project's templates
        return render_to_string(self.template_name, self.get_context(name, value, attrs))

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        steps = [step for step in (value or []) if isinstance(step, Mapping)]
        spare = max(LEAST_ROWS - len(steps), SPARE_ROWS)
        rows = [*steps, *({} for _row in range(min(spare, MOST_STEPS - len(steps))))]
        context["rows"] = [self._row(name, index, step) for index, step in enumerate(rows)]
        context["choices"] = {
            "channel": [*channel_choices("–"), ("reply", _("the channel they asked on"))],
            "account": [("", _("first that works")), *self.accounts],
            "when": when_choices(),
        }
        return context

    @staticmethod
    def _row(name: str, index: int, step: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "prefix": f"{name}-{index}",
            "number": index + 1,
            "channel": step.get("channel", ""),
            "account": str(step.get("account") or ""),
            "when": step.get("when", "now"),
            "after_min": _minutes(step.get("after_s")),
        }

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, Any]]:
        steps = []
        for index in range(MOST_STEPS):
            prefix = f"{name}-{index}"
            channel = data.get(f"{prefix}-channel", "")
            if channel:
                steps.append(
                    {
                        "channel": channel,
                        "account": data.get(f"{prefix}-account", ""),
                        "when": data.get(f"{prefix}-when", "now"),
                        "after_min": data.get(f"{prefix}-after_min", "").strip(),
                    }
                )
        return steps

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-0-channel" not in data


def _minutes(seconds: Any) -> str:
    return f"{int(seconds) / 60:g}" if seconds else ""


class StepsField(forms.Field):
    """A list of steps as Route.steps holds them."""

    widget = StepsWidget

    def clean(self, value: Any) -> list[dict[str, Any]]:
        """Raises ValidationError naming the step."""
        steps = [self._step(index, raw) for index, raw in enumerate(value or [], start=1)]
        if not steps:
            raise ValidationError(_("Choose a channel for at least one step."))
        if steps[0]["when"] != "now":
            raise ValidationError(_("Step 1 must be taken at once: nothing comes before it."))
        return steps

    def _step(self, number: int, raw: Mapping[str, Any]) -> dict[str, Any]:
        channels = {one for one, _word in channel_choices()} | {"reply"}
        if raw.get("channel") not in channels or raw.get("when") not in dict(when_choices()):
            raise ValidationError(_("Step %(n)d: choose from the list.") % {"n": number})
        step: dict[str, Any] = {"channel": raw["channel"], "when": raw["when"]}
        if account := str(raw.get("account") or ""):
            if account not in {key for key, _word in self.widget.accounts}:
                raise ValidationError(_("Step %(n)d: there is no such account.") % {"n": number})
            step["account"] = int(account)
        if raw["when"] in TIMED:
            step["after_s"] = self._seconds(number, str(raw.get("after_min") or ""))
        return step

    @staticmethod
    def _seconds(number: int, minutes: str) -> int:
        try:
            value = float(minutes.replace(",", "."))
        except ValueError:
            value = 0
        if not 0 < value <= 24 * 60:
            raise ValidationError(
                _("Step %(n)d: after how many minutes? Between 0.1 and 1440.") % {"n": number}
            )
        return max(1, round(value * 60))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return True


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]
    """Which news tells whom, on which way."""

    triggers = forms.MultipleChoiceField(
        choices=route_triggers,
        label=gettext_lazy("When this happens"),
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    steps = StepsField(label=gettext_lazy("Tell them like this"))
    locations = forms.ModelMultipleChoiceField(
        queryset=Location.objects.none(),
        required=False,
        label=gettext_lazy("Only these kitchens"),
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    fulfillment = forms.MultipleChoiceField(
        choices=lambda: [(one, fulfillment_word(one)) for one in FULFILLMENTS],
        required=False,
        label=gettext_lazy("Only these ways to get the order"),
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    sources = forms.MultipleChoiceField(
        choices=lambda: [(key, key.replace("_", " ").title()) for key in sorted(registry.SOURCES)],
        required=False,
        label=gettext_lazy("Only orders from"),
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    min_late_min = forms.IntegerField(
        min_value=0,
        max_value=600,
        required=False,
        label=gettext_lazy("Only when late by at least (minutes)"),
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )
    purpose = forms.ChoiceField(
        choices=purpose_choices,
        label=gettext_lazy("Purpose"),
        initial="order_updates",
        widget=widgets.UnfoldAdminSelectWidget(),
    )

    class Meta:
        model = Route
        fields = (
            "restaurant",
            "name",
            "audience",
            "triggers",
            "steps",
            "purpose",
            "critical",
            "enabled",
            "priority",
        )

    #: the rows the person may choose from; set by the page, which knows the person
    allowed_locations: Any = None
    allowed_accounts: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places, accounts = self.allowed_locations, self.allowed_accounts
        if self.instance.pk:
            places = places.filter(restaurant=self.instance.restaurant_id)
            accounts = accounts.filter(restaurant=self.instance.restaurant_id)
        known: Mapping[str, Any] = self.instance.conditions or {}
        for name in ("fulfillment", "sources", "min_late_min", "locations"):
            if name in self.fields:
                self.initial[name] = known.get(name)
        if "locations" in self.fields:
            self.fields["locations"].queryset = places  # type: ignore[attr-defined]
        if "steps" in self.fields:
            self.fields["steps"].widget.accounts = _account_choices(accounts)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        restaurant = cleaned.get("restaurant") or (self.instance.pk and self.instance.restaurant)
        if restaurant:
            self._refuse_strangers(cleaned, restaurant.pk)
        cleaned["conditions"] = self._conditions(cleaned)
        return cleaned

    def _refuse_strangers(self, cleaned: dict[str, Any], restaurant_id: int) -> None:
        if any(place.restaurant_id != restaurant_id for place in cleaned.get("locations") or ()):
            self.add_error("locations", _("A kitchen of another restaurant cannot be chosen."))
        wanted = {step["account"] for step in cleaned.get("steps") or () if "account" in step}
        mine = ProviderAccount.objects.filter(pk__in=wanted, restaurant=restaurant_id).count()
        if mine != len(wanted):
            self.add_error("steps", _("An account of another restaurant cannot be chosen."))

    def _conditions(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Only what limits something; what other versions wrote stays."""
        kept = dict(self.instance.conditions or {})
        wanted = {
            "locations": [place.pk for place in cleaned.get("locations") or ()],
            "fulfillment": list(cleaned.get("fulfillment") or ()),
            "sources": list(cleaned.get("sources") or ()),
            "min_late_min": cleaned.get("min_late_min") or 0,
        }
        for name, value in wanted.items():
            kept.pop(name, None)
            if value:
                kept[name] = value
        return kept


def _account_choices(accounts: Any) -> list[tuple[str, str]]:
    rows = accounts.order_by("channel", "priority").values_list("pk", "name", "channel")
    return [(str(pk), f"{name} ({channel})") for pk, name, channel in rows]
