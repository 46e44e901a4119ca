"""Running the apprise library: one service, one message, behind the fence, within a time.

It opens its own connections, so it runs in a thread of its own pool and cannot be stopped there:
whoever waits stops waiting, and the sockets' own time-outs end it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import unquote

from integrations.contracts import HttpResponse
from integrations.errors import OutcomeUnknown, TransientError
from integrations.fence import fenced
from integrations.providers.apprise_services import ALLOWED

#: seconds for one message, and for each connection inside it
LIMIT_S = 25.0
_CONNECT_S, _READ_S = 5.0, 10.0
_THREADS = 8
#: the state of an answer: sent, refused (by the fence), failed
STATE = "x-apprise"
_ERROR = re.compile(r"\berror=(\d{3})\b")
_LONGEST_WORDS, _MOST_WORDS = 2_000, 50
_MASK = "••••"
_PRIVATE = re.compile(r"[^\s@,;]+@[^\s@,;]+|\+?\d[\d .-]{5,}\d")

_words: ContextVar[list[str] | None] = ContextVar("apprise_words", default=None)
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


class ServiceRefused(Exception):
    """A URL that is none of apprise's, or of a service that is not allowed here."""


class _Listener(logging.Filter):
    """Keeps what the library says went wrong, and lets nothing of it reach any log.

    At debug level it writes down bodies and tokens, and in a body may stand "error=401".
    """

    def filter(self, record: logging.LogRecord) -> bool:
        said = _words.get()
        if said is not None and len(said) < _MOST_WORDS:
            words = record.getMessage()[:_LONGEST_WORDS]
            if record.levelno >= logging.WARNING or words.startswith("Socket "):
                said.append(words)
        return False


@cache
def _library() -> Any:
    """The library, imported when the first account needs it: it loads some two hundred modules."""
    with warnings.catch_warnings():
        # some of its modules still import what Python will drop
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise

        log = logging.getLogger("apprise")
        log.setLevel(logging.DEBUG)
        log.addFilter(_Listener())
        for name in ("urllib3", "oauthlib", "requests_oauthlib"):
            logging.getLogger(name).setLevel(logging.ERROR)  # below, they write down URLs
        # it reads its own folder of modules now; later the fence would not let it
        apprise.Apprise.instantiate("json://example.com")
    return apprise


def service(url: str, extras: Mapping[str, str] | None = None) -> Any:
    """The library's object for ``url``; raises ServiceRefused. Touches no network.

    ``extras`` are members added to the JSON of a ``json://`` service.
    """
    library = _library()
    asset = library.AppriseAsset(
        storage_mode="memory",
        service_timeout=0,
        allow_templates=False,
        secure_logging=True,
        async_mode=False,
        http_redirects=False,
        pem_autogen=False,
        pgp_autogen=False,
        app_id="Order Up",
        app_desc="Order Up",
    )
    try:
        with fenced():
            found = library.Apprise.instantiate(url, asset=asset)
    except (ValueError, TypeError, AttributeError, LookupError, OSError):
        found = None  # a URL its parsers stumble over
    if found is None:
        raise ServiceRefused("is not a URL apprise can read, or of a service not allowed here")
    if _module(found) not in ALLOWED:
        raise ServiceRefused(f"is of a service not allowed here: {_module(found)}")
    # whatever the URL says of these
    found.redirects = False
    found.verify_certificate = True
    found.retry = 0
    found.socket_connect_timeout, found.socket_read_timeout = _CONNECT_S, _READ_S
    found.overflow_mode = library.OverflowMode.TRUNCATE
    if extras:
        found.payload_extras = dict(extras)
    return found


def _module(found: Any) -> str:
    """ "discord" for apprise.plugins.discord.NotifyDiscord, "" for anything made elsewhere."""
    name = str(type(found).__module__)
    prefix = "apprise.plugins."
    return name.removeprefix(prefix).partition(".")[0] if name.startswith(prefix) else ""


async def notify(
    found: Any, *, title: str, body: str, kind: str, allowed_origins: Iterable[str], provider: str
) -> HttpResponse:
    """Send one message; the answer's header ``STATE`` says how it ended, its body in which words.

    Raises TransientError when no thread got to it in time, OutcomeUnknown when it did not end.
    """
    job = _threads().submit(_notify, found, title, body, kind, tuple(allowed_origins))
    try:
        return await asyncio.wait_for(_awaited(job), LIMIT_S)
    except TimeoutError:
        if job.cancel():
            raise TransientError(provider, detail="no thread was free in time") from None
        raise OutcomeUnknown(provider, detail="no answer in time") from None


async def _awaited(job: Future[HttpResponse]) -> HttpResponse:
    # shielded: a job that waits for a thread is cancelled by whoever knows what that means
    future = asyncio.wrap_future(job)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(future)


def _notify(
    found: Any, title: str, body: str, kind: str, allowed_origins: tuple[str, ...]
) -> HttpResponse:
    library = _library()
    said: list[str] = []
    token = _words.set(said)
    try:
        with fenced(allowed_origins) as fence:
            sender = library.Apprise(asset=found.asset)
            sender.add(found)
            is_sent = bool(
                sender.notify(
                    body=body,
                    title=title,
                    notify_type=library.NotifyType(kind),
                    body_format=library.NotifyFormat.TEXT,
                )
            )
    finally:
        _words.reset(token)
    if is_sent:
        return HttpResponse(200, {STATE: "sent"})
    if fence.refused:
        return HttpResponse(0, {STATE: "refused"}, fence.refused[0].encode())
    words = "\n".join(said)
    statuses = _ERROR.findall(words)
    status = int(statuses[-1]) if statuses else 0
    return HttpResponse(status, {STATE: "failed"}, words.encode("utf-8", "replace"))


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="apprise")
        return _pool


def scrubbed(words: str, url: str, private: Iterable[str]) -> str:
    """The library's last warning on one line, without any part of ``url``, mailbox or number."""
    lines = [line for line in words.split("\n") if "error=" in line or "error occurred" in line]
    line = " ".join((lines or words.split("\n"))[-1].split())
    for secret in sorted({*filter(None, private), *_pieces(url)}, key=len, reverse=True):
        line = line.replace(secret, _MASK)
    return _PRIVATE.sub(_MASK, line)[:120]


def _pieces(url: str) -> set[str]:
    found = set()
    for form in (url, unquote(url)):
        found |= {form, *re.split(r"[/:@?&=#,;\s]+", form)}
    return {piece for piece in found if len(piece) > 3}
