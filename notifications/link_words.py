"""The words of messages that carry a link somebody asked for. None of them promises anything."""

from __future__ import annotations

_SIGN = "{{ restaurant.name }}: "
_IGNORE = " If this was not you, do nothing."
_IGNORE_ES = " Si no fuiste tú, no hagas nada."
_CONFIRM = (
    "please confirm that you want updates about your orders here: {{ links.confirm }}" + _IGNORE
)
_CONFIRM_ES = (
    "confirma que quieres recibir aquí avisos de tus pedidos: {{ links.confirm }}" + _IGNORE_ES
)
#: what carriers want to read in the first text to a number
_CARRIERS = " Msg & data rates may apply. Reply STOP to end, HELP for help."
_CARRIERS_ES = " Pueden aplicarse cargos. Responde STOP para terminar, AYUDA para ayuda."

TEXTS: dict[tuple[str, str, str], dict[str, str]] = {
    ("link:manage", "customer", ""): {
        "en": _SIGN + "your message choices: {{ links.confirm }} The link works once, for 20 "
        "minutes." + _IGNORE,
        "es": _SIGN + "tus preferencias de avisos: {{ links.confirm }} El enlace sirve una vez, "
        "durante 20 minutos." + _IGNORE_ES,
    },
    ("link:opt_in", "customer", ""): {
        "en": _SIGN + _CONFIRM,
        "es": _SIGN + _CONFIRM_ES,
    },
    ("link:opt_in", "customer", "sms"): {
        "en": _SIGN + _CONFIRM + _CARRIERS,
        "es": _SIGN + _CONFIRM_ES + _CARRIERS_ES,
    },
    ("link:opt_in_reminder", "customer", ""): {
        "en": _SIGN + "a last reminder, " + _CONFIRM,
        "es": _SIGN + "último recordatorio: " + _CONFIRM_ES,
    },
}

SUBJECTS: dict[str, dict[str, str]] = {
    "link:manage": {
        "en": "Your message choices at {{ restaurant.name }}",
        "es": "Tus preferencias de avisos en {{ restaurant.name }}",
    },
    "link:opt_in": {
        "en": "Please confirm: order updates from {{ restaurant.name }}",
        "es": "Confirma los avisos de pedidos de {{ restaurant.name }}",
    },
    "link:opt_in_reminder": {
        "en": "Reminder: please confirm order updates from {{ restaurant.name }}",
        "es": "Recordatorio: confirma los avisos de {{ restaurant.name }}",
    },
}
