"""Settings of the test run: an embedded PostgreSQL of its own, fixed keys, no demo."""

import os
from pathlib import Path

_root = Path(__file__).resolve().parent.parent
os.environ.setdefault("VAR_DIR", str(_root / "var" / "test"))
os.environ.setdefault("DEMO", "0")
os.environ["PUBLIC_URL"] = "https://alerts.example.com"
os.environ["CELERY_BROKER_URL"] = "memory://"
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")
os.environ["FIELD_ENCRYPTION_KEYS"] = "c0ZhS2VfS2V5X0Zvcl9UZXN0c19Pbmx5XzEyMzQ1Njc="
os.environ["ADDRESS_PEPPERS"] = "74657374" * 8
os.environ["LEDGER_KEYS"] = "6c656467" * 8
os.environ["LINK_SIGNING_KEYS"] = "6c696e6b" * 8

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES  # noqa: E402

DATABASES["default"]["CONN_MAX_AGE"] = 0
# several runs may share one server
DATABASES["default"]["TEST"] = {"NAME": f"test_order_up_{os.getpid()}"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOG_LEVEL = "WARNING"
