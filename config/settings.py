"""Every setting, in one file. The environment is read here and nowhere else.

A value ``NAME`` may come from a file named by ``NAME_FILE`` (for secrets), which wins.
"""

from __future__ import annotations

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from config import embedded
from config.admin_settings import UNFOLD_EXTRA
from config.keys import local_keys
from orders.public_url import read_public_url

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.FileAwareEnv()
environ.Env.read_env(BASE_DIR / ".env")

# --- where things are -------------------------------------------------------------------------

#: generated keys, the embedded database, benchmark results
VAR_DIR = Path(env("VAR_DIR", default=str(BASE_DIR / "var")))
#: who was erased, for after a restore. Keep it apart from the database and from its backups
ERASURE_JOURNAL = Path(env("ERASURE_JOURNAL", default=str(VAR_DIR / "erasures.jsonl")))
_keys = local_keys(VAR_DIR)

#: loopback or interface the web process listens on
HOST = env("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
#: the stand-in for every vendor; loopback only
SANDBOX_PORT = env.int("SANDBOX_PORT", default=8001)
SANDBOX_URL = env("SANDBOX_URL", default=f"http://127.0.0.1:{SANDBOX_PORT}").rstrip("/")
#: whether the one-process mode starts the sandbox itself
RUN_SANDBOX = env.bool("RUN_SANDBOX", default=True)
#: what vendors and customers see; several vendors sign it, so it is a setting and never guessed
try:
    PUBLIC_URL = read_public_url(env("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}"))
except ValueError as error:
    raise ImproperlyConfigured(f"PUBLIC_URL: {error}") from None
#: a proxy ends TLS in front of us and names the scheme in X-Forwarded-Proto. We speak plain HTTP
#: ourselves, so an https address means there is one. Its X-Forwarded-Host is never read.
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=PUBLIC_URL.startswith("https://"))
#: the demonstration restaurant and its lunch service at start (0 switches it off)
DEMO = env.bool("DEMO", default=True)

# --- secrets ----------------------------------------------------------------------------------

SECRET_KEY = env("SECRET_KEY", default=_keys["SECRET_KEY"])
#: Fernet keys for fields at rest, newest first, comma separated; old ones still decrypt
FIELD_ENCRYPTION_KEYS = env.list("FIELD_ENCRYPTION_KEYS", default=[_keys["FIELD_ENCRYPTION_KEYS"]])
#: HMAC keys for address hashes, oldest first, comma separated; position = pepper version - 1
ADDRESS_PEPPERS = env.list("ADDRESS_PEPPERS", default=[_keys["ADDRESS_PEPPERS"]])
#: HMAC keys of the ledger's checkpoints, oldest first, comma separated; position = version - 1. The
#: last one signs; never remove one, or what it signed cannot be proven any more
LEDGER_KEYS = env.list("LEDGER_KEYS", default=[_keys["LEDGER_KEYS"]])
#: HMAC keys of unsubscribe links, newest first, comma separated; links of old ones still work. Keep
#: a key for at least 60 days after the last message signed with it (Canada demands working links)
LINK_SIGNING_KEYS = env.list("LINK_SIGNING_KEYS", default=[_keys["LINK_SIGNING_KEYS"]])

# --- Django -----------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_URL])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "anymail",
    "pgtrigger",
    "pghistory",
    "config.apps.ConfigApp",
    "consents.apps.ConsentsConfig",
    "orders.apps.OrdersConfig",
    "notifications.apps.NotificationsConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.audit.console_history",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
USE_X_FORWARDED_HOST = False
# forms need an Origin header that is not "null"; links in messages carry no secret of their own
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

# --- database: PostgreSQL only ----------------------------------------------------------------

DATABASE_URL = env("DATABASE_URL", default="") or embedded.database_url(VAR_DIR / "postgres")
DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL)}
DATABASES["default"].update(
    CONN_MAX_AGE=env.int("DATABASE_CONN_MAX_AGE_S", default=600),
    CONN_HEALTH_CHECKS=True,
)

# --- the books about settings (config/models.py) ------------------------------------------------

#: rows of the books are added and never changed; the database refuses it
PGHISTORY_APPEND_ONLY = True
#: changes of one transaction keep their order
PGHISTORY_CREATED_AT_FUNCTION = "clock_timestamp()"

# --- Celery: the doorbell; the database is the truth --------------------------------------------

CELERY_BROKER_URL = env("CELERY_BROKER_URL", default="memory://")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"polling_interval": 0.02} if CELERY_BROKER_URL.startswith("memory") else {}
)
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = "UTC"
#: threads of the worker inside the one-process mode
WORKER_THREADS = env.int("WORKER_THREADS", default=4)
#: threads of the web server
WEB_THREADS = env.int("WEB_THREADS", default=8)

# --- dispatch -----------------------------------------------------------------------------------

#: deliveries one claim takes
DISPATCH_BATCH = env.int("DISPATCH_BATCH", default=200)
#: how long a claimed row belongs to its worker, seconds
DISPATCH_LEASE_S = env.int("DISPATCH_LEASE_S", default=45)
#: requests in flight to one account at once
DISPATCH_IN_FLIGHT = env.int("DISPATCH_IN_FLIGHT", default=64)
#: connect and read time-outs towards vendors, seconds
HTTP_CONNECT_TIMEOUT_S = env.float("HTTP_CONNECT_TIMEOUT_S", default=5.0)
HTTP_READ_TIMEOUT_S = env.float("HTTP_READ_TIMEOUT_S", default=15.0)
#: calm kinds wait this long for what else happens, seconds (parts: SETTLE_PARTS_S)
SETTLE_S = env.int("SETTLE_S", default=20)
SETTLE_PARTS_S = env.int("SETTLE_PARTS_S", default=60)

# --- how long things are kept: the longest applicable rule wins, a legal hold stops deletion ------

#: what people wrote to us, days; messages of ours are not kept at all
RETENTION_TEXTS_DAYS = env.int("RETENTION_TEXTS_DAYS", default=90)
#: that a message left and what became of it, months
RETENTION_DELIVERIES_MONTHS = env.int("RETENTION_DELIVERIES_MONTHS", default=24)
#: the ledger and its wording after the last row of an address nobody keeps any more, years
RETENTION_LEDGER_YEARS = env.int("RETENTION_LEDGER_YEARS", default=5)
#: the same where it holds an opt-out from solicitations in the US (Virginia asks for ten)
RETENTION_US_OPT_OUT_YEARS = env.int("RETENTION_US_OPT_OUT_YEARS", default=10)
#: proof beside the ledger (IP, form, raw words), years at most
RETENTION_EVIDENCE_YEARS = env.int("RETENTION_EVIDENCE_YEARS", default=5)
#: links of the portal, hours
RETENTION_PORTAL_HOURS = env.int("RETENTION_PORTAL_HOURS", default=24)
#: raw calls of sources, days
RETENTION_CALLS_DAYS = env.int("RETENTION_CALLS_DAYS", default=30)
#: settled rights requests, and who looked at which address, years
RETENTION_RIGHTS_YEARS = env.int("RETENTION_RIGHTS_YEARS", default=3)
#: backups, days: whoever makes them keeps to it, and export_ropa says so
RETENTION_BACKUPS_DAYS = env.int("RETENTION_BACKUPS_DAYS", default=35)

# --- REST API -----------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "config.problems.problem_json",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Order Up API",
    "DESCRIPTION": "Order updates in, alerts out, with an explanation for each.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
}

# --- mail of the product itself (vendor mail goes through provider accounts) ---------------------

EMAIL_BACKEND = env("EMAIL_BACKEND", default="django.core.mail.backends.console.EmailBackend")

# --- logs: JSON lines, address hashes only --------------------------------------------------------

LOG_LEVEL = env("LOG_LEVEL", default="WARNING")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # "No hostname was supplied": true of the in-process broker, and no news
    "loggers": {"kombu.connection": {"level": "ERROR"}},
}

# --- admin ----------------------------------------------------------------------------------------

UNFOLD = UNFOLD_EXTRA | {
    "SITE_TITLE": "Order Up",
    "SITE_HEADER": "Order Up",
    "SITE_SYMBOL": "receipt_long",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
}
