"""Forms of the console: provider accounts, message templates, a test message."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold import widgets

from consents.models import Purpose
from integrations import registry
from integrations.contracts import Channel
from integrations.errors import ConfigurationError
from notifications import rendering
from notifications.context import sample
from notifications.models import MessageTemplate, ProviderAccount
from notifications.rendering import TemplateInvalid
from notifications.triggers import template_triggers
from notifications.words import channel_word
from orders.forms import DeclaredSettingsForm

LANGUAGES = [("en", "English"), ("es", "Español")]


def channel_choices(blank: Any = None) -> list[tuple[str, str]]:
    """Every channel in words, after ``blank``."""
    named = [(one.value, channel_word(one.value)) for one in Channel]
    return [("", str(blank)), *named] if blank is not None else named


def purpose_choices() -> list[tuple[str, str]]:
    """What a message is for, in words."""
    return [(one.value, one.value.replace("_", " ")) for one in Purpose]


class ProviderAccountForm(DeclaredSettingsForm):
    """One credential set at a provider; the declared settings are checked by the provider."""

    provider_key: ClassVar[str] = ""

    class Meta:
        model = ProviderAccount
        fields = ("restaurant", "name", "mode", "enabled", "priority", "rate_per_s")
        help_texts: ClassVar[dict[str, Any]] = {
            "priority": gettext_lazy("Lowest goes first; the next one takes over when it fails."),
            "rate_per_s": gettext_lazy("Requests per second; empty = what the provider allows."),
            "mode": gettext_lazy("“sandbox” sends to the stand-in on this machine, never outside."),
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and self.provider_key:
            try:
                registry.provider_class(self.provider_key)(
                    self.merged_settings(), base_url="http://127.0.0.1"
                )
            except ConfigurationError as error:
                self.add_error(None, error.detail)
        return cleaned


class TestMessageForm(forms.Form):
    """Where a test message goes."""

    __test__ = False  # pytest: not a test

    to = forms.CharField(
        max_length=300,
        required=False,
        label=gettext_lazy("To"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class MessageTemplateForm(forms.ModelForm):  # type: ignore[type-arg]
    """When a message is sent, and its words; the words become a new version."""

    trigger = forms.ChoiceField(
        choices=template_triggers,
        label=gettext_lazy("When"),
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    channel = forms.ChoiceField(
        choices=lambda: channel_choices(_("any channel")),
        required=False,
        label=gettext_lazy("Channel"),
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    language = forms.ChoiceField(
        choices=LANGUAGES,
        label=gettext_lazy("Language"),
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    purpose = forms.ChoiceField(
        choices=purpose_choices,
        label=gettext_lazy("Purpose"),
        initial="order_updates",
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    subject = forms.CharField(
        max_length=300,
        required=False,
        label=gettext_lazy("Subject (e-mail)"),
        widget=widgets.UnfoldAdminTextInputWidget(),
    )
    text = forms.CharField(
        label=gettext_lazy("Text"),
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 5, "spellcheck": "true"}),
    )
    html = forms.CharField(
        required=False,
        label=gettext_lazy("HTML (e-mail, optional)"),
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    class Meta:
        model = MessageTemplate
        fields = (
            "restaurant",
            "location",
            "trigger",
            "audience",
            "channel",
            "language",
            "purpose",
            "vendor_template",
            "enabled",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = self.instance.versions.first() if self.instance.pk else None
        if newest is not None:
            words = {"subject": newest.subject, "text": newest.text, "html": newest.html}
            self.initial = {**self.initial, **words}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        location, restaurant = cleaned.get("location"), self._value("restaurant")
        if location is not None and restaurant and location.restaurant_id != restaurant.pk:
            self.add_error("location", _("This location belongs to another restaurant."))
        if "trigger" not in self.errors and "text" in cleaned:
            self._check_words(cleaned)
        return cleaned

    def _value(self, name: str) -> Any:
        """What the form says, else (a field that is fixed now) what the row says."""
        if name in self.fields:
            return self.cleaned_data.get(name)
        return getattr(self.instance, name, None)

    def _check_words(self, cleaned: dict[str, Any]) -> None:
        words = {name: cleaned.get(name, "") for name in ("subject", "text", "html")}
        trigger, language = self._value("trigger") or "", self._value("language") or "en"
        kind, _sep, milestone = trigger.partition(":")
        facts = sample(kind, milestone, language)
        for name, source in words.items():
            try:
                rendering.render_text(source, facts)
            except TemplateInvalid as error:
                self.add_error(name, str(error))
        if self.errors:
            return
        try:
            rendering.check(
                **words,
                trigger=trigger,
                language=language,
                purpose=self._value("purpose") or "order_updates",
            )
        except TemplateInvalid as error:
            self.add_error("text", str(error))
