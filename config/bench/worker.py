"""The Celery application of the benchmark's worker: the product's, plus the yardstick's task."""

from config.bench import yardstick  # noqa: F401 - registers the task
from config.celery import app

__all__ = ["app"]
