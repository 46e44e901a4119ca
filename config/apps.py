from django.apps import AppConfig
from django.conf import settings


class ConfigApp(AppConfig):
    """The composition root: management commands that need every app, and the network door."""

    name = "config"
    verbose_name = "Order Up"

    def ready(self) -> None:
        from config import checks  # noqa: F401 - registers the system checks
        from integrations import http

        http.configure(
            connect_timeout_s=settings.HTTP_CONNECT_TIMEOUT_S,
            read_timeout_s=settings.HTTP_READ_TIMEOUT_S,
            allowed_origins=[settings.SANDBOX_URL],
        )
