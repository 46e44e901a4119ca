from django.apps import AppConfig


class ConsentsConfig(AppConfig):
    """Who may be told, and how."""

    name = "consents"
    verbose_name = "Consents"

    def ready(self) -> None:
        from consents import retention_rules

        retention_rules.register()
