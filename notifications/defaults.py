"""Routes and words every restaurant starts with: one of each trigger, ready to be edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from integrations.contracts import State
from notifications import link_words
from notifications.models import MessageTemplate, MessageTemplateVersion, Route
from notifications.selectors import clear_caches
from orders.models import Restaurant

#: a chat or browser the guest chose on the order's page comes before what the order was placed
#: with, and is fallen back from when it cannot be reached
CHOSEN: list[Mapping[str, Any]] = [
    {"channel": "telegram", "when": "now"},
    {"channel": "messenger", "when": "otherwise"},
    {"channel": "push", "when": "otherwise"},
    {"channel": "web_push", "when": "otherwise"},
]
#: open pages and the shop the order came from, where the restaurant has such accounts
BESIDE: list[Mapping[str, Any]] = [
    {"channel": "realtime", "when": "now"},
    {"channel": "commerce", "when": "now"},
]
CUSTOMER_STEPS: list[Mapping[str, Any]] = [
    *CHOSEN,
    {"channel": "sms", "when": "otherwise"},
    {"channel": "email", "when": "otherwise"},
    *BESIDE,
]

ROUTES: list[dict[str, Any]] = [
    {
        "name": "Guest: order received",
        "audience": "customer",
        "triggers": ["status_changed:received", "status_changed:accepted"],
        "steps": [
            {"channel": "email", "when": "now"},
            {"channel": "sms", "when": "otherwise"},
        ],
    },
    {
        "name": "Guest: progress",
        "audience": "customer",
        "triggers": [
            "status_changed:preparing",
            "status_changed:ready",
            "status_changed:out_for_delivery",
            "status_changed:delivered",
            "status_changed:cancelled",
            "status_changed:failed",
            "order_delayed",
            "order_delayed:earlier",
            "eta_changed",
        ],
        "steps": CUSTOMER_STEPS,
    },
    {
        "name": "Guest: order changed",
        "audience": "customer",
        "triggers": ["order_edited", "order_split", "part_status_changed"],
        "steps": CUSTOMER_STEPS,
    },
    {
        "name": "Guest: where is my order?",
        "audience": "customer",
        "triggers": ["status_requested"],
        "steps": [{"channel": "reply", "when": "now"}],
        "purpose": "service_reply",
    },
    {
        "name": "Team: what needs attention",
        "audience": "staff",
        "triggers": [
            "status_changed:received",
            "status_changed:accepted",
            "status_changed:ready",
            "status_changed:cancelled",
            "status_changed:failed",
            "order_delayed",
            "order_delayed:overdue",
            "order_delayed:stalled",
            "eta_changed",
            "status_changed:recalled",
            "status_changed:after_sale",
            "status_changed:conflict",
            "status_changed:courier_failed",
            "order_edited",
            "order_split",
            "held",
        ],
        "steps": [{"channel": "team_chat", "when": "now"}],
        "purpose": "staff_ops",
    },
    {
        "name": "Partners: every change",
        "audience": "partner",
        "triggers": [
            *(f"status_changed:{state}" for state in State),
            "part_status_changed",
            "order_edited",
            "order_split",
            "order_delayed",
            "order_delayed:earlier",
            "eta_changed",
        ],
        "steps": [
            {"channel": "webhook", "when": "now"},
            {"channel": "automation", "when": "now"},
        ],
        "purpose": "partner_ops",
    },
    {
        "name": "Team: a guest wrote",
        "audience": "staff",
        "triggers": ["customer_message"],
        "steps": [{"channel": "team_chat", "when": "now"}],
        "purpose": "staff_ops",
    },
]

_SIGN = "{{ restaurant.name }}: "
_LINK = " {{ links.order }}"

TEXTS: dict[tuple[str, str, str], dict[str, str]] = {
    ("status_changed", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} is {{ order.state_label }}." + _LINK,
        "es": _SIGN + "tu pedido {{ order.number }}: {{ order.state_label }}." + _LINK,
    },
    ("status_changed:received", "customer", ""): {
        "en": _SIGN + "we have your order {{ order.number }}."
        "{% if order.eta_time != '' %} Ready about {{ order.eta_time }}.{% endif %}" + _LINK,
        "es": _SIGN + "recibimos tu pedido {{ order.number }}."
        "{% if order.eta_time != '' %} Listo hacia las {{ order.eta_time }}.{% endif %}" + _LINK,
    },
    ("status_changed:preparing", "customer", ""): {
        "en": _SIGN + "we are preparing order {{ order.number }}."
        "{% if order.eta_time != '' %} {% if order.is_delivery %}With you{% else %}Ready"
        "{% endif %} about {{ order.eta_time }} ({{ order.eta_in }}).{% endif %}" + _LINK,
        "es": _SIGN + "preparamos tu pedido {{ order.number }}."
        "{% if order.eta_time != '' %} Hacia las {{ order.eta_time }} ({{ order.eta_in }})."
        "{% endif %}" + _LINK,
    },
    ("status_changed:ready", "customer", ""): {
        "en": _SIGN + "{% if order.is_delivery %}order {{ order.number }} is ready and waits for "
        "its courier.{% else %}order {{ order.number }} is ready for pickup"
        "{% if location.name != '' %} at {{ location.name }}{% endif %}.{% endif %}"
        "{% if parts.total > 1 %} All {{ parts.total }} parts are done.{% endif %}" + _LINK,
        "es": _SIGN + "{% if order.is_delivery %}tu pedido {{ order.number }} está listo y espera "
        "al repartidor.{% else %}tu pedido {{ order.number }} está listo para recoger.{% endif %}"
        + _LINK,
    },
    ("status_changed:out_for_delivery", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} is on its way"
        "{% if courier.name != '' %} with {{ courier.name }}{% endif %}."
        "{% if order.eta_time != '' %} With you about {{ order.eta_time }} ({{ order.eta_in }})."
        "{% endif %}" + _LINK,
        "es": _SIGN + "tu pedido {{ order.number }} va en camino."
        "{% if order.eta_time != '' %} Llega hacia las {{ order.eta_time }}.{% endif %}" + _LINK,
    },
    ("status_changed:delivered", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} was delivered. Enjoy!" + _LINK,
        "es": _SIGN + "tu pedido {{ order.number }} fue entregado. ¡Buen provecho!" + _LINK,
    },
    ("status_changed:cancelled", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} was cancelled."
        "{% if restaurant.phone != '' %} Questions? Call {{ restaurant.phone }}.{% endif %}"
        + _LINK,
        "es": _SIGN + "tu pedido {{ order.number }} fue cancelado."
        "{% if restaurant.phone != '' %} ¿Preguntas? Llama al {{ restaurant.phone }}.{% endif %}"
        + _LINK,
    },
    ("status_changed:failed", "customer", ""): {
        "en": _SIGN + "we could not complete order {{ order.number }}."
        "{% if restaurant.phone != '' %} Please call {{ restaurant.phone }}.{% endif %}" + _LINK,
    },
    ("order_delayed", "customer", ""): {
        "en": _SIGN + "sorry, order {{ order.number }} is running late."
        "{% if event.new_time != '' %} New time: about {{ event.new_time }} ({{ event.new_in }})."
        "{% endif %}" + _LINK,
        "es": _SIGN + "lo sentimos, tu pedido {{ order.number }} se retrasa."
        "{% if event.new_time != '' %} Nueva hora: hacia las {{ event.new_time }}.{% endif %}"
        + _LINK,
    },
    ("order_delayed:earlier", "customer", ""): {
        "en": _SIGN + "good news, order {{ order.number }} will be earlier: about "
        "{{ event.new_time }} ({{ event.new_in }})." + _LINK,
        "es": _SIGN + "buenas noticias, tu pedido {{ order.number }} llega antes: hacia las "
        "{{ event.new_time }}." + _LINK,
    },
    ("order_edited", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} was changed: {{ event.change }}." + _LINK,
        "es": _SIGN + "tu pedido {{ order.number }} cambió: {{ event.change }}." + _LINK,
    },
    ("order_edited:refunded", "customer", ""): {
        "en": _SIGN + "we refunded {{ event.change }} of order {{ order.number }}." + _LINK,
        "es": _SIGN + "reembolsamos {{ event.change }} de tu pedido {{ order.number }}." + _LINK,
    },
    ("order_split", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} will be ready in {{ parts.total }} parts."
        "{% if parts.next_eta != '' %} First about {{ parts.next_eta }}.{% endif %}" + _LINK,
    },
    ("part_status_changed", "customer", ""): {
        "en": _SIGN + "{{ parts.ready }} of {{ parts.total }} parts of order {{ order.number }} "
        "are ready.{% if parts.last_eta != '' %} Last one about {{ parts.last_eta }} "
        "({{ parts.last_eta_in }}).{% endif %}" + _LINK,
        "es": _SIGN + "{{ parts.ready }} de {{ parts.total }} partes del pedido "
        "{{ order.number }} están listas." + _LINK,
    },
    ("eta_changed", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} has a new time"
        "{% if event.new_time != '' %}: about {{ event.new_time }} ({{ event.new_in }}){% endif %}."
        + _LINK,
        "es": _SIGN + "tu pedido {{ order.number }} tiene nueva hora"
        "{% if event.new_time != '' %}: hacia las {{ event.new_time }}{% endif %}." + _LINK,
    },
    ("status_requested", "customer", ""): {
        "en": _SIGN + "order {{ order.number }} is {{ order.state_label }}."
        "{% if parts.total > 1 %} {{ parts.ready }} of {{ parts.total }} parts are done.{% endif %}"
        "{% if order.is_under_way and order.eta_time != '' %} "
        "{% if order.is_delivery %}With you{% else %}Ready{% endif %} about {{ order.eta_time }} "
        "({{ order.eta_in }}).{% endif %}" + _LINK,
        "es": _SIGN + "tu pedido {{ order.number }}: {{ order.state_label }}."
        "{% if order.is_under_way and order.eta_time != '' %} Hacia las {{ order.eta_time }}."
        "{% endif %}" + _LINK,
    },
    ("reply:stop_confirmation", "customer", ""): {
        "en": _SIGN + "you will get no more texts from us. Reply START to undo."
        "{% if restaurant.phone != '' %} About an order: {{ restaurant.phone }}.{% endif %}",
        "es": _SIGN + "no recibirás más mensajes. Responde START para volver."
        "{% if restaurant.phone != '' %} Sobre un pedido: {{ restaurant.phone }}.{% endif %}",
    },
    ("reply:start_confirmation", "customer", ""): {
        "en": _SIGN + "you will get order updates by text again. Reply STOP to end.",
        "es": _SIGN + "volverás a recibir avisos de tus pedidos. Responde STOP para terminar.",
    },
    ("reply:help", "customer", ""): {
        "en": _SIGN + "order updates by text."
        "{% if restaurant.phone != '' %} Help: {{ restaurant.phone }}.{% endif %} "
        "Msg & data rates may apply. Reply STOP to end.",
    },
    ("reply:linked", "customer", ""): {
        "en": _SIGN + "you will get news about order {{ order.number }} here. "
        "It is {{ order.state_label }} now. Write STOP to end." + _LINK,
        "es": _SIGN + "aquí recibirás noticias de tu pedido {{ order.number }}. "
        "Ahora: {{ order.state_label }}. Escribe STOP para terminar." + _LINK,
    },
    ("reply:no_open_order", "customer", ""): {
        "en": _SIGN + "we see no open order for this number."
        "{% if restaurant.phone != '' %} Please call {{ restaurant.phone }}.{% endif %}",
        "es": _SIGN + "no vemos ningún pedido abierto con este número.",
    },
    ("reply:erasure", "customer", ""): {
        "en": _SIGN + "as you asked, we are deleting what we know about you. This is our last "
        "message.",
        "es": _SIGN + "como pediste, borramos lo que sabemos de ti. Este es nuestro último "
        "mensaje.",
    },
    ("status_changed", "staff", ""): {
        "en": "#{{ order.number }} is {{ order.state_label }}"
        "{% if order.eta_time != '' %}, due {{ order.eta_time }}{% endif %}"
        "{% if order.items.size > 0 %}: {{ order.items | join: ', ' }}{% endif %}",
    },
    ("order_delayed", "staff", ""): {
        "en": "#{{ order.number }} is late"
        "{% if event.late_min > 0 %} by {{ event.late_min }} min{% endif %}"
        "{% if event.new_time != '' %}, now about {{ event.new_time }}{% endif %}.",
    },
    ("order_delayed:overdue", "staff", ""): {
        "en": "#{{ order.number }} is overdue and nobody gave a new time. Set one on the order "
        "page so that the guest can be told.",
    },
    ("order_delayed:stalled", "staff", ""): {
        "en": "#{{ order.number }} has been {{ order.state_label }} for longer than usual. "
        "Please check.",
    },
    ("status_changed:recalled", "staff", ""): {
        "en": "#{{ order.number }} was called ready and is {{ order.state_label }} again. The "
        "guest still believes it is ready."
    },
    ("status_changed:after_sale", "staff", ""): {
        "en": "#{{ order.number }} was cancelled or refunded after it was handed over."
    },
    ("status_changed:conflict", "staff", ""): {
        "en": "#{{ order.number }}: the sources disagree about how it ended. Settle it on the "
        "board."
    },
    ("status_changed:courier_failed", "staff", ""): {
        "en": "#{{ order.number }}: the courier could not deliver. A new one is needed."
    },
    ("eta_changed", "staff", ""): {
        "en": "#{{ order.number }} has a new time"
        "{% if event.new_time != '' %}: {{ event.new_time }}{% endif %}"
    },
    ("status_requested", "staff", ""): {
        "en": "#{{ order.number }}: the guest asked where it is. It is {{ order.state_label }}"
        "{% if order.eta_time != '' %}, due {{ order.eta_time }}{% endif %}."
    },
    ("order_edited", "staff", ""): {"en": "#{{ order.number }} changed: {{ event.change }}"},
    ("order_edited:refunded", "staff", ""): {
        "en": "#{{ order.number }}: paid back {{ event.change }}"
    },
    ("order_split", "staff", ""): {
        "en": "#{{ order.number }} now has {{ parts.total }} parts: {{ event.change }}"
    },
    ("part_status_changed", "staff", ""): {
        "en": "#{{ order.number }}: {{ parts.ready }} of {{ parts.total }} parts ready"
    },
    ("held", "staff", ""): {
        "en": "#{{ order.number }}: a source says {{ event.milestone }}; the guest was not told. "
        "Please check it on the board."
    },
    ("customer_message", "staff", ""): {
        "en": "A guest ({{ event.sender }}) wrote"
        "{% if order.number != '' %} about #{{ order.number }}{% endif %}: {{ event.detail }}"
    },
    ("alarm", "staff", ""): {"en": "Attention: {{ event.also }}"},
}

SUBJECTS: dict[str, dict[str, str]] = {
    "customer": {
        "en": "Order {{ order.number }}: {{ order.state_label }}",
        "es": "Pedido {{ order.number }}: {{ order.state_label }}",
    },
    "staff": {"en": "#{{ order.number }} {{ order.state_label }}"},
}


@transaction.atomic
def install(restaurant: Restaurant) -> None:
    """Give ``restaurant`` the default routes and words it does not have yet."""
    for position, wanted in enumerate(ROUTES):
        Route.objects.get_or_create(
            restaurant=restaurant,
            name=wanted["name"],
            defaults={
                "audience": wanted["audience"],
                "triggers": wanted["triggers"],
                "steps": wanted["steps"],
                "purpose": wanted.get("purpose", "order_updates"),
                "priority": 10 + position,
            },
        )
    install_words(restaurant)


@transaction.atomic
def install_words(restaurant: Restaurant, trigger: str = "") -> None:
    """Every default text, or those of one trigger: who began before there were any lacks them."""
    for key, words in {**TEXTS, **link_words.TEXTS}.items():
        if trigger in ("", key[0]):
            for language, text in words.items():
                _template(restaurant, *key, language, text)
    clear_caches()


def _template(
    restaurant: Restaurant, trigger: str, audience: str, channel: str, language: str, text: str
) -> None:
    template, is_new = MessageTemplate.objects.get_or_create(
        restaurant=restaurant,
        location=None,
        trigger=trigger,
        audience=audience,
        channel=channel,
        language=language,
        defaults={"purpose": _purpose(trigger, audience)},
    )
    if is_new:
        subjects = link_words.SUBJECTS.get(trigger) or SUBJECTS.get(audience, {})
        MessageTemplateVersion.objects.create(
            template=template, number=1, text=text, subject=subjects.get(language, "")
        )


def _purpose(trigger: str, audience: str) -> str:
    if audience != "customer":
        return "staff_ops"
    return "security" if trigger.startswith("link:") else "order_updates"
