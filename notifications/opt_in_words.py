"""The wordings people agree to on our pages. Each is stored as it was shown."""

from __future__ import annotations

from django.utils.translation import gettext as _

from consents.choices import Wording
from consents.models import Purpose
from notifications.brand import Brand


def text_updates(brand: Brand) -> str:
    """What stands beside the box of the opt-in page: what carriers ask for, in one sentence each.

    Source: Twilio errors 30831, 30841 and 30842 and the carriers' checklist (CTIA, May 2023).
    """
    words = {"restaurant": brand.name}
    return " ".join(
        [
            _(
                "I agree that %(restaurant)s sends me SMS text messages about my orders: "
                "received, in preparation, ready or on its way, late or changed."
            )
            % words,
            _("Usually 2 to 6 messages for an order."),
            _("Msg & data rates may apply."),
            _("Reply STOP to end, HELP for help."),
            _("Agreeing is not a condition of buying anything."),
        ]
    )


def box_words(brand: Brand, purpose: str) -> str:
    """What stands beside a switch of the preference page, as one sentence that can be agreed to."""
    words = {"restaurant": brand.name}
    if purpose == Purpose.ORDER_UPDATES:
        return text_updates(brand)
    if purpose == Purpose.FEEDBACK:
        return _("I agree that %(restaurant)s asks me what I think of my orders.") % words + _ends()
    return _("I agree that %(restaurant)s sends me news and offers.") % words + _ends()


def _ends() -> str:
    told = _("I can end this at any time, and agreeing is not a condition of buying anything.")
    return f" {told}"


def wordings(brand: Brand, language: str) -> dict[str, Wording]:
    """All of them, in the active language."""
    return {
        purpose: Wording(box_words(brand, purpose), language)
        for purpose in (Purpose.ORDER_UPDATES, Purpose.FEEDBACK, Purpose.MARKETING)
    }
