"""The Celery application of the benchmark's worker: the product's, plus the yardstick's task."""

from config.celery import app

app.conf.include = ["config.bench.yardstick"]

__all__ = ["app"]
