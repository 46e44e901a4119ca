"""From a message template to text: Liquid, strict, with limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from liquid import Environment, StrictUndefined
from liquid.exceptions import LiquidError

from notifications.context import sample


class TemplateInvalid(Exception):
    """The words of a template cannot be rendered; the text names the place and what is wrong."""


class _Environment(Environment):
    """Liquid without file access; loops and output are bounded."""

    loop_iteration_limit = 1000
    output_stream_limit = 100_000


_environment = _Environment(undefined=StrictUndefined, extra=False)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one message says."""

    text: str
    subject: str = ""
    html: str = ""


@lru_cache(maxsize=2048)
def _compile(source: str) -> Any:
    return _environment.from_string(source)


def render_text(source: str, context: Mapping[str, Any]) -> str:
    """Render one Liquid source; raises TemplateInvalid."""
    if "{" not in source:
        return source
    try:
        text: str = _compile(source).render(**context)
    except LiquidError as error:
        raise TemplateInvalid(" ".join(str(error).split())[:300]) from error
    return text


def render(*, text: str, subject: str, html: str, context: Mapping[str, Any]) -> Rendered:
    """Render the three sources of a template version; raises TemplateInvalid.

    Runs of spaces that conditions leave behind are collapsed in the text; line breaks stay.
    """
    body = "\n".join(" ".join(line.split()) for line in render_text(text, context).split("\n"))
    return Rendered(
        text=body.strip(),
        subject=" ".join(render_text(subject, context).split()) if subject else "",
        html=render_text(html, _escaped(context)) if html else "",
    )


def _escaped(value: Any) -> Any:
    """The same context with every text escaped for HTML: menu items are other people's words."""
    if isinstance(value, str):
        return (
            value.replace("&", "&amp;")
            .replace("<", "&lt;")
            .replace(">", "&gt;")
            .replace('"', "&quot;")
        )
    if isinstance(value, Mapping):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value


#: words that turn an order message into marketing (the template must then say purpose marketing)
PROMOTIONAL = (
    "coupon",
    "discount",
    "% off",
    "promo code",
    "order again",
    "special offer",
    "free delivery on your next",
    "cupón",
    "descuento",
    "oferta especial",
)


def check(
    *, text: str, subject: str, html: str, trigger: str, language: str, purpose: str
) -> Rendered:
    """Render against the sample of ``trigger``; raises TemplateInvalid on anything wrong.

    A transactional template with promotional words is refused: one coupon makes the whole
    message marketing.
    """
    kind, _, milestone = trigger.partition(":")
    rendered = render(
        text=text, subject=subject, html=html, context=sample(kind, milestone, language)
    )
    if not rendered.text:
        raise TemplateInvalid("the text is empty for the sample order")
    if purpose not in ("marketing", "feedback"):
        everything = f"{text} {subject} {html}".casefold()
        for word in PROMOTIONAL:
            if word in everything:
                raise TemplateInvalid(
                    f"'{word}' makes this message marketing: change the words or the purpose"
                )
    return rendered
