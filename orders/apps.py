from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """What happened."""

    name = "orders"
    verbose_name = "Orders"
