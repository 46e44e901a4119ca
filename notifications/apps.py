from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """What we say and whether it arrived."""

    name = "notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from notifications import receivers

        receivers.connect()
