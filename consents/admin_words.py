"""How the consent pages say codes of the ledger. Every word passes gettext."""

from __future__ import annotations

from django.utils.translation import gettext as _


def _word(words: dict[str, str], code: object) -> str:
    return words.get(str(code), str(code).replace("_", " "))


def action_word(code: object) -> str:
    """What somebody said, in words."""
    words = {
        "granted": _("said yes"),
        "denied": _("said no"),
        "withdrawn": _("took it back"),
        "suppressed": _("leave this channel alone"),
        "pending": _("waiting for proof"),
    }
    return _word(words, code)


def purpose_word(code: object) -> str:
    """What messages are for."""
    words = {
        "order_updates": _("news about orders"),
        "marketing": _("advertising"),
        "feedback": _("surveys and reviews"),
        "staff_ops": _("staff news"),
        "partner_ops": _("partner news"),
        "service_reply": _("answers"),
        "security": _("codes and links"),
    }
    return _word(words, code)


def request_word(code: object) -> str:
    """A right somebody uses."""
    words = {
        "access": _("see my data"),
        "restriction": _("do not use my data"),
        "erasure": _("erase my data"),
        "objection": _("no more advertising"),
        "complaint": _("complaint"),
    }
    return _word(words, code)


def verdict_word(code: object) -> str:
    """What a decision says."""
    words = {
        "allow": _("may go"),
        "delay": _("must wait"),
        "drop": _("may not go"),
        "pass": _("passes"),
        "skip": _("not asked"),
    }
    return _word(words, code)


def rule_word(code: object) -> str:
    """A rule, as the question it asks."""
    words = {
        "subject": _("Is the person still with us?"),
        "address": _("Is this address theirs?"),
        "channel": _("Can the channel be used?"),
        "suppression": _("Did they stop it?"),
        "expiry": _("Is it still news?"),
        "veto": _("Does anything forbid it?"),
        "consent": _("Does the law want a consent, and is there one?"),
        "carrier": _("Does the phone company let it through?"),
        "review": _("Are there words of theirs to read first?"),
        "choice": _("What did they choose?"),
        "default": _("What did the restaurant decide?"),
        "time": _("Is it a good hour?"),
        "volume": _("Is it too much in one day?"),
    }
    return _word(words, code)


def code_word(code: object) -> str:
    """Why, in words; an unknown code without its underscores."""
    words = {
        "allowed": _("nothing speaks against it"),
        "subject_erased": _("the person was erased"),
        "address_gone": _("the address is gone"),
        "restricted": _("the person restricted the use of their data"),
        "suppressed": _("they stopped us, or the number is dead"),
        "confirmation_too_late": _("the answer to a stop came too late"),
        "address_expired": _("the address ended with its order or its owner"),
        "unverified": _("nobody proved that this address is theirs"),
        "unreachable": _("nobody is there, says the vendor"),
        "window_closed": _("they must write first, and no approved template is at hand"),
        "expired": _("it would be too late to be news"),
        "withdrawn": _("they took their consent back"),
        "denied": _("they said no"),
        "consent_pending": _("a consent is waiting for its confirmation"),
        "no_consent": _("the law wants a consent here, and there is none"),
        "carrier_block": _("the phone company still blocks it: they text START"),
        "held_for_review": _("somebody must read what they wrote first"),
        "muted": _("they muted it"),
        "default_off": _("the restaurant switched it off"),
        "quiet_hours": _("their quiet hours"),
        "hours": _("the legal hours"),
        "volume_cap": _("enough for one day"),
        "unknown_zone": _("nobody knows what time it is where they are"),
        "never_open": _("no hour is allowed"),
        "consent": _("their consent"),
        "contract": _("their order (contract), no consent needed"),
        "express_consent": _("an express consent"),
        "written_consent": _("a written consent"),
        "soft_opt_in": _("an earlier purchase"),
        "legitimate_interest": _("a legitimate interest"),
        "legal_duty": _("a legal duty"),
        "none": _("no consent is needed"),
        "nothing forbids it": _("nothing forbids it"),
        "nothing chosen": _("nothing chosen"),
        "the customer wants it": _("they want it"),
        "the customer chose": _("they chose themselves"),
        "on": _("switched on"),
        "critical": _("critical: choices and hours do not count"),
        "no quiet time or hours apply": _("no quiet time applies"),
        "open now": _("the hour is fine"),
    }
    return _word(words, code)
