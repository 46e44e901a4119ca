"""The form of a source account: who tells the guest, what its words mean, who speaks first."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold import widgets

from integrations import registry
from integrations.contracts import Setup, State
from orders import phrases
from orders.forms import PREFIX, DeclaredSettingsForm
from orders.models import SourceAccount, UnknownWord
from orders.unknown_words import STATE

#: what a select box sends for "says nothing about the state", and for "nobody has said"
NOTHING, UNMAPPED = "nothing", ""
TRACKS = ("commercial", "kitchen", "courier")
#: rows of the table of words that are still empty
SPARE_ROWS, MOST_ROWS = 2, 300
HIGHEST_RANK = 999
#: random bytes of a secret we offer
_SECRET_BYTES = 24


def meaning_choices() -> list[tuple[str, str]]:
    """What a word of a source may mean."""
    states = [(state.value, phrases.state_word(state)) for state in State]
    return [*states, (NOTHING, _("says nothing about the state"))]


def meaning_word(meaning: str | None) -> str:
    """A meaning as status maps keep it, for people; None = nobody has said."""
    if meaning is None:
        return _("not known")
    return phrases.state_word(meaning) if meaning else _("says nothing about the state")


def read_meaning(chosen: str) -> str:
    """The meaning of a choice as status maps keep it. Raises ValueError for anything else."""
    if chosen == NOTHING:
        return ""
    return State(chosen).value


class _TemplateWidget(forms.Widget):
    """The forms' own renderer does not know the project's templates."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        return render_to_string(str(self.template_name), self.get_context(name, value, attrs))


# --- who tells the guest ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A milestone, and whether this source ever states it."""

    state: str
    #: came | not yet | never
    heard: str


class WhoTellsWidget(_TemplateWidget):
    """One switch a milestone: we tell the guest, or the source does."""

    template_name = "admin/console/who_tells_widget.html"
    source_title: str = ""
    milestones: Sequence[Said] = ()
    #: a new source has said nothing yet
    shows_heard: bool = True

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        told = set(value or ())
        shown = {one.state for one in self.milestones}
        context["source"] = self.source_title
        context["shows_heard"] = self.shows_heard
        context["rows"] = [
            {
                "name": f"{name}-{one.state}",
                "word": phrases.state_word(one.state),
                "heard": one.heard,
                "is_theirs": one.state in told,
            }
            for one in self.milestones
        ]
        context["kept"] = [f"{name}-{state}" for state in sorted(told - shown)]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return [state.value for state in State if data.get(f"{name}-{state.value}") == "source"]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return not any(key.startswith(f"{name}-") for key in data)


class WhoTellsField(forms.MultipleChoiceField):
    """The milestones a source tells its guests itself."""

    widget = WhoTellsWidget

    def __init__(self, **kwargs: Any) -> None:
        choices = [(state.value, state.value) for state in State]
        super().__init__(choices=choices, required=False, **kwargs)


def milestones_of(key: str, seen: Collection[str], mapped: Collection[str]) -> list[Said]:
    """What source ``key`` can state, and whether it did; the rest only a button can say."""
    able = registry.source_class(key).can_state
    return [
        Said(state.value, "came" if state.value in seen else "not yet")
        for state in State
        if state.value in {*able, *seen, *mapped}
    ]


# --- what its words mean ------------------------------------------------------------------------


class StatusMapWidget(_TemplateWidget):
    """A table of words: where the source says it, what it says, and what that means."""

    template_name = "admin/console/status_map_widget.html"
    streams: Mapping[str, str] = {}
    version: int | None = None

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        rows = value if isinstance(value, list) else rows_of(value or {})
        spare = [("", "", UNMAPPED)] * SPARE_ROWS
        known = {**{stream: stream for stream, _word, _meaning in rows if stream}, **self.streams}
        context["streams"] = list(known.items())
        context["meanings"] = meaning_choices()
        context["version"] = self.version
        context["rows"] = [
            {
                "prefix": f"{name}-{index}",
                "number": index + 1,
                "stream": stream,
                "word": word,
                "meaning": meaning,
            }
            for index, (stream, word, meaning) in enumerate([*rows, *spare])
        ]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[tuple[str, str, str]]:
        found = []
        for index in range(MOST_ROWS):
            prefix = f"{name}-{index}"
            if f"{prefix}-word" not in data:
                break
            row = [data.get(f"{prefix}-{part}", "") for part in ("stream", "word", "meaning")]
            if row[1].strip():
                found.append((row[0].strip(), row[1].strip(), row[2]))
        return found

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-0-word" not in data


def rows_of(status_map: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, str]]:
    """A status map as rows of (stream, word, choice)."""
    return [
        (stream, word, meaning or NOTHING)
        for stream, words in sorted(status_map.items())
        for word, meaning in sorted(words.items())
    ]


class StatusMapField(forms.Field):
    """A status map: {"stream": {"WORD": a State, or "" = says nothing}}."""

    widget = StatusMapWidget

    def clean(self, value: Any) -> dict[str, dict[str, str]]:
        """Raises ValidationError naming the row."""
        found: dict[str, dict[str, str]] = {}
        for number, (stream, word, chosen) in enumerate(value or (), start=1):
            if chosen == UNMAPPED:
                continue  # taken out
            if not stream or len(stream) > 80 or len(word) > 200:
                raise ValidationError(
                    _("Row %(n)d: choose where the source says “%(word)s”.")
                    % {"n": number, "word": word[:40]}
                )
            if word in found.get(stream, {}):
                raise ValidationError(
                    _("Row %(n)d: “%(word)s” stands in this table twice.")
                    % {"n": number, "word": word[:40]}
                )
            try:
                found.setdefault(stream, {})[word] = read_meaning(chosen)
            except ValueError:
                raise ValidationError(
                    _("Row %(n)d: “%(chosen)s” is no state of ours.")
                    % {"n": number, "chosen": chosen[:40]}
                ) from None
        return found


# --- the form -----------------------------------------------------------------------------------


def _rank_field(track: str) -> forms.IntegerField:
    labels = {
        "commercial": gettext_lazy("Rank for what was ordered"),
        "kitchen": gettext_lazy("Rank for the kitchen"),
        "courier": gettext_lazy("Rank for the courier"),
    }
    return forms.IntegerField(
        required=False,
        min_value=0,
        max_value=HIGHEST_RANK,
        label=labels[track],
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


class SourceAccountForm(DeclaredSettingsForm):
    """One connection to a source. ``source_key`` is set by whoever makes the class."""

    source_key: ClassVar[str] = ""

    told_by_source = WhoTellsField(label=gettext_lazy("Each step"))
    status_map = StatusMapField(required=False, label=gettext_lazy("Its words"))
    #: the version the table was made from, inside it: two managers must not undo each other unseen
    map_version = forms.IntegerField(required=False)
    rank_commercial = _rank_field("commercial")
    rank_kitchen = _rank_field("kitchen")
    rank_courier = _rank_field("courier")

    class Meta:
        model = SourceAccount
        fields: ClassVar[list[str]] = ["restaurant", "location", "name", "mode", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        account: SourceAccount | None = self.instance if self.instance.pk else None
        setup = registry.source_setup(self.source_key)
        self._offer_secrets(setup, is_new=account is None)
        self._show_who_tells(setup, account)
        self._show_words(setup, account)
        default = registry.source_class(self.source_key).priority
        for track in TRACKS:
            field = self.fields[f"rank_{track}"]
            field.widget.attrs["placeholder"] = str(default.get(track, 0))
            self.initial[f"rank_{track}"] = (account.priority if account else {}).get(track)

    def _offer_secrets(self, setup: Setup, *, is_new: bool) -> None:
        """A secret both sides must know is thought up here and shown once, to be copied."""
        for name, form in setup.invented.items():
            field = self.fields.get(PREFIX + name)
            if field is None or not is_new:
                continue
            field.widget = widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
            self.initial[PREFIX + name] = form.format(secrets.token_urlsafe(_SECRET_BYTES))
            words = _("Made for you. Copy it to the vendor now: it is not shown again.")
            field.help_text = f"{field.help_text}. {words}" if field.help_text else words

    def _show_who_tells(self, setup: Setup, account: SourceAccount | None) -> None:
        widget = self.fields["told_by_source"].widget
        key = self.source_key
        # "CloudEvents (any system)" is a name to choose by, not one to speak of
        widget.source_title = (registry.source_class(key).title or key).partition(" (")[0]
        widget.shows_heard = account is not None
        seen = account.seen_states if account else ()
        words = (account.status_map if account else {}).values()
        mapped = {meaning for one in words for meaning in one.values()}
        widget.milestones = milestones_of(key, seen, mapped)
        told = account.told_by_source if account else sorted(setup.tells_guest)
        self.initial["told_by_source"] = told

    def _show_words(self, setup: Setup, account: SourceAccount | None) -> None:
        met: dict[str, str] = {}
        if account is not None:
            unknown = UnknownWord.objects.filter(account=account, about=STATE)
            met = {stream: stream for stream in unknown.values_list("stream", flat=True)}
            self.initial["status_map"] = account.status_map
            self.fields["status_map"].widget.version = account.status_map_version
        self.fields["status_map"].widget.streams = {**met, **setup.streams}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        location, restaurant = cleaned.get("location"), cleaned.get("restaurant")
        owner = restaurant.pk if restaurant else self.instance.restaurant_id
        if location is not None and owner and location.restaurant_id != owner:
            self.add_error("location", _("This location belongs to another restaurant."))
        known = cleaned.get("map_version")
        if self.instance.pk and known not in (None, self.instance.status_map_version):
            self.add_error(
                "status_map",
                _("Somebody changed these words meanwhile. Open the page again, then change them."),
            )
        return cleaned

    @property
    def typed_map(self) -> dict[str, dict[str, str]] | None:
        """The status map as it was typed; None when the page did not hold its table."""
        widget = self.fields["status_map"].widget
        if widget.value_omitted_from_data(self.data, self.files, self.add_prefix("status_map")):
            return None
        found: dict[str, dict[str, str]] = self.cleaned_data["status_map"]
        return found

    @property
    def ranks(self) -> dict[str, int]:
        """Who speaks first, per track, where it differs from the source's own rank."""
        typed = {track: self.cleaned_data.get(f"rank_{track}") for track in TRACKS}
        return {track: rank for track, rank in typed.items() if rank is not None}
