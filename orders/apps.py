from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """What happened."""

    name = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from consents import holders
        from orders import retention_rules
        from orders.personal_data import OrdersHolder

        holders.register(OrdersHolder())
        retention_rules.register()
