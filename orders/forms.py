"""Forms of the console: declared settings of an account, restaurants, API keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold import widgets

from integrations import registry
from integrations.contracts import Setting
from orders.accounts import merge_settings, missing_settings
from orders.api_keys import SCOPES
from orders.colours import PAPER_DARK, PAPER_LIGHT, readable
from orders.models import ApiKey, Location, Restaurant

#: form fields of declared settings start with it, so that none collides with a model's field
PREFIX = "set_"


class DeclaredSettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A model form with one field per declared setting; a stored secret is never rendered.

    ``account_form`` makes the subclass for one vendor; after validation ``typed_settings`` holds
    what was typed, by setting name.
    """

    declared: ClassVar[Sequence[Setting]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.settings if self.instance.pk else {}
        for setting in self.declared:
            name = PREFIX + setting.name
            if name not in self.fields:
                continue
            self.fields[name].required = setting.required and not (
                setting.secret and stored.get(setting.name)
            )
            if setting.secret:
                self._hide(self.fields[name], bool(stored.get(setting.name)))
            elif self.instance.pk:
                self.initial[name] = stored.get(setting.name, setting.default)

    @staticmethod
    def _hide(field: forms.Field, is_stored: bool) -> None:
        if is_stored:
            field.widget.attrs["placeholder"] = "••••••••"
            kept = _("Stored. Leave empty to keep it.")
            field.help_text = f"{field.help_text}. {kept}" if field.help_text else kept

    @property
    def typed_settings(self) -> dict[str, str]:
        """What was typed, by setting name."""
        typed = {one.name: self.cleaned_data.get(PREFIX + one.name) for one in self.declared}
        return {name: str(value) for name, value in typed.items() if value}

    def merged_settings(self) -> dict[str, str]:
        """The settings as they would be stored."""
        return merge_settings(self.declared, self.instance.settings or {}, self.typed_settings)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for setting in missing_settings(self.declared, self.merged_settings()):
            name = PREFIX + setting.name
            if name not in self.errors:
                self.add_error(name, _("This is needed."))
        return cleaned


def setting_field(setting: Setting) -> forms.Field:
    """The form field of one declared setting."""
    label = setting.label or setting.name.replace("_", " ").capitalize()
    common: dict[str, Any] = {"label": label, "required": False, "help_text": setting.help}
    if setting.choices:
        blank = [] if setting.required else [("", "–")]
        choices = [*blank, *((one, one) for one in setting.choices)]
        return forms.ChoiceField(
            choices=choices,
            initial=setting.default,
            widget=widgets.UnfoldAdminSelectWidget(),
            **common,
        )
    widget: forms.Widget = widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    if setting.secret:
        # new-password: browsers must not offer somebody's login here
        widget = widgets.UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password"}, render_value=False
        )
    return forms.CharField(initial=setting.default, widget=widget, max_length=8000, **common)


def account_form(
    base: type[DeclaredSettingsForm], declared: Sequence[Setting]
) -> type[DeclaredSettingsForm]:
    """``base`` with a field for each declared setting."""
    fields = {PREFIX + setting.name: setting_field(setting) for setting in declared}
    return type(base.__name__, (base,), {**fields, "declared": tuple(declared)})


class RestaurantForm(forms.ModelForm):  # type: ignore[type-arg]
    """Name, place and colour of a restaurant."""

    class Meta:
        model = Restaurant
        fields = (
            "name",
            "slug",
            "sender_group",
            "country",
            "timezone",
            "language",
            "phone",
            "accent",
            "is_demo",
        )

    def clean_accent(self) -> str:
        """A colour people can read on one of our papers; "" is ours."""
        colour = str(self.cleaned_data["accent"])
        if colour and not (readable(colour, PAPER_LIGHT) or readable(colour, PAPER_DARK)):
            raise ValidationError(
                _("Not readable: write #RRGGBB with a contrast of at least 4.5 on our paper.")
            )
        return colour

    def clean_timezone(self) -> str:
        """An IANA name."""
        return _zone(self.cleaned_data["timezone"])

    def clean_country(self) -> str:
        """Two letters, upper case."""
        return str(self.cleaned_data["country"]).upper()


class LocationForm(forms.ModelForm):  # type: ignore[type-arg]
    """One kitchen and the figures of its delay rules."""

    class Meta:
        model = Location
        fields = (
            "restaurant",
            "name",
            "external_ids",
            "timezone",
            "kitchen_floor_min",
            "courier_floor_min",
            "threshold_cap_min",
            "grace_min",
            "stalled_min",
            "busy_extra_min",
            "busy_until",
            "has_own_drivers",
        )

    def clean_timezone(self) -> str:
        """An IANA name, "" for the restaurant's."""
        return _zone(self.cleaned_data["timezone"])


def _zone(name: str) -> str:
    if name and name not in available_timezones():
        raise ValidationError(_("No such time zone. Write it like America/New_York."))
    return name


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key: whose, for what, and what it may do."""

    scopes = forms.MultipleChoiceField(
        choices=lambda: [(scope, f"{scope}: {words}") for scope, words in SCOPES.items()],
        label=gettext_lazy("It may"),
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
    )

    class Meta:
        model = ApiKey
        fields = ("restaurant", "name", "scopes")


def source_settings(key: str) -> Sequence[Setting]:
    """The declared settings of a source, () for an unknown one."""
    return registry.source_class(key).settings if key in registry.SOURCES else ()
