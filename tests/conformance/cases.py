"""The spread of messages every provider is checked with: kinds, lengths, scripts, settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from integrations import registry
from integrations.contracts import Choice, HttpRequest, Provider, State
from integrations.errors import ConfigurationError, MessageRejected
from notifications import examples
from notifications.context import PartFacts
from notifications.examples import Example

STRANGE = "Müller's 🍜 先生 “Ñandú” – <b>&amp; {{x}} \t\r\n ود 100%"
_MANY = tuple(PartFacts(f"Bowl {n} “grande”", "preparing") for n in range(40))
_LINES = tuple(f"{n} x Bowl with a rather long name, number {n}" for n in range(60))
#: vendor templates whose name is not "name:language"
TEMPLATES = {"hubspot": "4126643121"}
VARIANTS: dict[str, Example] = {
    "no name": Example(first_name=""),
    "no number": Example(number=""),
    "spanish": Example(language="es"),
    "hindi": Example(language="hi"),
    "brazil": Example(language="pt-BR"),
    "delivery": Example(fulfillment="delivery"),
    "many parts": Example(parts=_MANY, items=_LINES),
    "no parts": Example(parts=(), items=()),
    "unicode": Example(text=STRANGE, first_name="Zoë 🍜"),
    "odd name": Example(first_name=STRANGE),
    "vendor template": Example(vendor_template="order_status_update"),
    "window open": Example(is_window_open=True),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One request and what it stands for; ``request`` None = refused before anything left."""

    name: str
    provider: Provider
    request: HttpRequest | None


def cases(key: str) -> Iterator[Case]:
    """Every case of one provider."""
    provider_class = registry.provider_class(key)
    provider = provider_class(provider_class.example_settings())
    for kind in examples.kinds_of(provider_class):
        yield _case(provider, key, kind, Example(), kind)
    for state in State:
        yield _case(provider, key, f"status_changed:{state}", Example(), f"status {state}")
    for name, variant in VARIANTS.items():
        yield _case(provider, key, "status_changed:ready", variant, name)
        yield _case(provider, key, "order_delayed", variant, f"delayed, {name}")
    longest = provider_class.capabilities.max_chars or 5000
    for letters in ("long words ", "ŵ"):
        text = (letters * longest)[:longest].strip()
        yield _case(provider, key, "status_changed:ready", Example(text=text), f"{letters} x max")
    if provider_class.capabilities.edit:
        again = Example(earlier_id=_earlier(provider))
        for kind in ("status_changed:delivered", "order_edited", "customer_message"):
            yield _case(provider, key, kind, again, f"{kind} after an earlier one")
    for settings, words in _settings(provider_class):
        other = provider_class(settings)
        for kind in ("status_changed:ready", "order_edited", "order_delayed"):
            template = TEMPLATES.get(key, "alerts:en")
            example = Example(vendor_template=template, to=_address(other))
            yield _case(other, key, kind, example, f"{words}, {kind}")
    yield from _others(provider)


def _case(provider: Provider, key: str, name: str, example: Example, words: str) -> Case:
    kind, milestone = examples.trigger(name)
    try:
        request = provider.request(examples.message(key, kind, milestone, example))
    except MessageRejected:
        return Case(words, provider, None)
    return Case(words, provider, request)


def _address(provider: Provider) -> str:
    """An address of the kind this very account reaches people by."""
    kinds = provider.address_channels(provider.account)
    return provider.example_address or examples.ADDRESSES.get(kinds[0] if kinds else "", "")


def _earlier(provider: Provider) -> str:
    """An id in the vendor's form, as the adapter itself would have kept it."""
    return {"telegram": "4711/42"}.get(provider.key, "35436")


def _settings(provider_class: type[Provider]) -> Iterator[tuple[dict[str, str], str]]:
    """Example settings with one choice changed, where the account can have it."""
    plain = provider_class.example_settings()
    for setting in provider_class.settings:
        for choice in setting.choices:
            if plain.get(setting.name) == choice:
                continue
            changed = {**plain, setting.name: choice}
            try:
                provider_class(changed)
            except ConfigurationError:
                continue  # the choice needs another setting as well
            yield changed, f"{setting.name}={choice}"


def _others(provider: Provider) -> Iterator[Case]:
    """Requests that are no messages: questions, choices and erasures told to the vendor."""
    now = datetime(2026, 3, 14, 22, 36, tzinfo=UTC)
    question = provider.look_up(examples.message(provider.key, "status_changed", "ready"))
    if question is not None:
        yield Case("look-up", provider, question)
    if (page := provider.stop_list_request(now)) is not None:
        yield Case("stop list", provider, page)
    for channel in provider.address_channels(provider.account):
        to = provider.example_address or examples.ADDRESSES.get(channel, "")
        for is_stopped in (True, False):
            choice = Choice(channel, to, is_stopped, "order_updates", now, "ledger-1")
            for request in provider.choice_requests(choice):
                yield Case(f"choice {is_stopped}", provider, request)
        for request in provider.erasure_requests(channel, to):
            yield Case("erasure", provider, request)
