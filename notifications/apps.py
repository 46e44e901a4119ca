from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """What we say and whether it arrived."""

    name = "notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from consents import holders
        from notifications import receivers, retention_rules
        from notifications.personal_data import NotificationsHolder

        receivers.connect()
        holders.register(NotificationsHolder())
        retention_rules.register()
