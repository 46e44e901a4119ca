"""Apprise beyond the common contract: which services, how a try ended, and what stays secret."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import apprise
import pytest

from integrations.contracts import Accepted, HttpResponse
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from integrations.http import Http, HttpConfig
from integrations.providers import apprise_call
from integrations.providers.apprise import Apprise
from integrations.providers.apprise_services import ALLOWED
from tests.integrations import fixture_files as files

PLUGINS = Path(apprise.__file__).parent / "plugins"
#: what a service may not need: programs, desktops, sockets and threads of its own, files
LOCAL = frozenset(
    {
        "asyncio", "concurrent", "ctypes", "dbus", "gi", "gntp", "hid", "multiprocessing", "paho",
        "pika", "pty", "shutil", "slixmpp", "smpplib", "socket", "subprocess", "syslog",
        "tempfile", "threading", "win32api", "win32con", "win32gui",
    }
)  # fmt: skip


def provider(url: str, base_url: str = "") -> Apprise:
    return Apprise({"service_url": url}, base_url=base_url)


def given(**changes: Any) -> Any:
    return json.loads(files.provider("apprise").request(files.message("apprise", **changes)).body)


# --- which services -------------------------------------------------------------------------------


def test_every_allowed_service_is_there() -> None:
    assert len(ALLOWED) > 100
    missing = {name for name in ALLOWED if not _sources(name)}
    assert missing == set()


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_an_allowed_service_uses_nothing_of_this_machine(name: str) -> None:
    found = {module for path in _sources(name) for module in _imports(path)}
    assert found & LOCAL == set()


def _sources(name: str) -> list[Path]:
    folder = PLUGINS / name
    return sorted(folder.glob("*.py")) if folder.is_dir() else [*PLUGINS.glob(f"{name}.py")]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


@pytest.mark.parametrize(
    "url",
    [
        "discord://0123456789/token-of-a-webhook",
        "https://discord.com/api/webhooks/0123456789/token-of-a-webhook",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/general",
        "tgram://123456789:abcdefg_hijklmnop/12345678/",
        "ntfy://alerts",
        "mailto://user:secret@example.com",
        "json://alerts.example.com/hooks",
        "xmls://alerts.example.com",
        "gotify://gotify.example.com/token",
        "rocket://user:pass@chat.example.com/#kitchen",
    ],
)
def test_services_on_the_internet_are_taken(url: str) -> None:
    assert provider(f" {url} ").request(files.message("apprise")).method == "NOTIFY"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("x", "not a URL apprise can read"),
        ("nowhere://x", "not a URL apprise can read"),
        ("discord://", "not a URL apprise can read"),
        ("mailto://", "not a URL apprise can read"),
        ("exec://ls", "not a URL apprise can read"),
        ("file:///etc/passwd", "not a URL apprise can read"),
        ("dbus://", "not allowed here"),
        ("gnome://", "not allowed here"),
        ("macosx://", "not allowed here"),
        ("windows://", "not allowed here"),
        ("syslog://", "not allowed here"),
        ("rsyslog://203.0.113.9", "not allowed here: rsyslog"),
        ("mqtt://203.0.113.9/topic", "not allowed here"),
        ("json://a b", "not a URL"),
        ("json://x\nhost", "not a URL"),
        ("json://127.0.0.1/x", "private or local"),
        ("json://[::1]/x", "private or local"),
        ("json://localhost/x", "private or local"),
        ("jsons://10.1.2.3:8443/x", "private or local"),
        ("xml://169.254.169.254/latest/meta-data", "private or local"),
        ("mailto://user:secret@192.168.0.7", "private or local"),
    ],
)
def test_services_that_are_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        provider(url)
    assert "service_url" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_a_url_says_of_the_connection_is_not_followed() -> None:
    url = "json://alerts.example.com/?redirect=yes&verify=no&retry=5&rto=600&cto=600&overflow=split"
    found = apprise_call.service(url)
    assert (found.redirects, found.verify_certificate, found.retry) == (False, True, 0)
    assert found.socket_connect_timeout + found.socket_read_timeout < apprise_call.LIMIT_S


# --- what is said ---------------------------------------------------------------------------------


def test_title_words_and_links() -> None:
    assert given() == {
        "title": "Order #1042 is delayed",
        "body": "Order #1042 is 12 min late. Call the guest.\n"
        "Acknowledge: https://orders.example.com/ack/1/\n"
        "Order: https://orders.example.com/board/1042/",
        "type": "warning",
    }
    bare = given(subject="", text="Late\nCall them", links={})
    assert (bare["title"], bare["body"]) == ("Late", "Late\nCall them")
    lone = given(subject="", text="Late", links={})
    assert (lone["title"], lone["body"]) == ("Late", "Late")
    empty = given(subject="", text=" ", links={})
    assert (empty["title"], empty["body"]) == ("Order Up", "Order Up")


def test_long_words_are_cut() -> None:
    made = given(subject="s" * 999, text="x" * 9999, links={})
    assert (len(made["title"]), len(made["body"])) == (200, 3000)


@pytest.mark.parametrize(
    ("kind", "milestone", "expected"),
    [
        ("status_changed", "ready", "success"),
        ("status_changed", "received", "info"),
        ("status_changed", "cancelled", "warning"),
        ("status_changed", "failed", "failure"),
        ("order_delayed", "delayed:1", "warning"),
        ("alarm", "alarm:x", "failure"),
    ],
)
def test_colours(kind: str, milestone: str, expected: str) -> None:
    assert given(event_kind=kind, milestone=milestone)["type"] == expected


# --- how it ended ---------------------------------------------------------------------------------


def ended(status: int, words: str = "", state: str = "failed") -> Any:
    headers = {"x-apprise": state} if state else {}
    return files.provider("apprise").outcome(
        files.message("apprise"), HttpResponse(status, headers, words.encode())
    )


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (301, "error=301.", ConfigurationError),
        (400, "error=400.", MessageRejected),
        (401, "error=401.", ConfigurationError),
        (402, "error=402.", ConfigurationError),
        (403, "error=403.", ConfigurationError),
        (404, "error=404.", ConfigurationError),
        (408, "error=408.", TransientError),
        (410, "error=410.", ConfigurationError),
        (413, "error=413.", MessageRejected),
        (429, "error=429.", RateLimited),
        (500, "error=500.", TransientError),
        (502, "error=502.", OutcomeUnknown),
        (503, "error=503.", TransientError),
        (504, "error=504.", OutcomeUnknown),
        (0, "Socket Exception: Connection refused", TransientError),
        (0, "Socket Exception: CERTIFICATE_VERIFY_FAILED", TransientError),
        (0, "Socket Exception: NameResolutionError", TransientError),
        (0, "Socket Exception: Read timed out.", OutcomeUnknown),
        (0, "Socket Exception: RemoteDisconnected", OutcomeUnknown),
        (0, "Socket Exception: Connection aborted, Connection reset by peer", OutcomeUnknown),
        (
            0,
            "Socket Exception: ('Connection broken: IncompleteRead(8 bytes read)')",
            OutcomeUnknown,
        ),
        (0, "No recipients were notified", TransientError),
        (0, "", TransientError),
    ],
)
def test_a_no_and_why(status: int, words: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        ended(status, words)
    assert type(caught.value) is error


def test_a_yes_and_nothing() -> None:
    assert ended(200, state="sent") == Accepted()
    with pytest.raises(OutcomeUnknown):
        ended(200, state="")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            "Failed to send Discord notification: Invalid Token., error=401.",
            "Failed to send Discord notification: Invalid Token., error=401.",
        ),
        (
            "Failed to send to 0123456789/abcDEF-token_of_a-webhook, error=401.\nResponse: body",
            "Failed to send to ••••/••••, error=401.",
        ),
        (
            "Failed for +1 202-555-0142 and ana@example.com, error=403.",
            "Failed for •••• and ••••, error=403.",
        ),
    ],
)
def test_the_librarys_words_are_scrubbed(words: str, shown: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ended(401, words)
    assert str(caught.value) == f"apprise: the service refused: {shown}"


# --- the real library against a real server -------------------------------------------------------


class Service:
    """A chat server that takes notifications and answers as told."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.status = 200
        self.location = ""
        self.wait = threading.Event()
        self.is_slow = False


@pytest.fixture
def service() -> Iterator[tuple[Service, str]]:
    found = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.taken.append((self.path, dict(self.headers), body))
            if found.is_slow:
                found.wait.wait(5)
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found, f"http://127.0.0.1:{server.server_port}"
    found.wait.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def at_home(service: tuple[Service, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A name of the internet that leads to the server on this machine; its service URL."""
    port = int(service[1].rpartition(":")[2])
    ask = socket.getaddrinfo

    def answer(host: Any, *args: Any, **kwargs: Any) -> Any:
        return ask("127.0.0.1" if host == "chat.example.com" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return f"json://chat.example.com:{port}/hook?+X-Token=s3cret-value"


def send(made: Apprise, origin: str = "", **changes: Any) -> Accepted:
    async def go() -> Accepted:
        http = Http(HttpConfig(1.0, 1.0, frozenset({origin} if origin else ())))
        try:
            return await made.send(files.message("apprise", **changes), http)
        finally:
            await http.close()

    return asyncio.run(go())


def test_a_live_account_sends_through_the_library(
    service: tuple[Service, str], at_home: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    taken, origin = service
    assert send(provider(at_home), origin) == Accepted()
    ((path, headers, body),) = taken.taken
    assert (path, headers["X-Token"]) == ("/hook", "s3cret-value")
    assert json.loads(body)["message"].startswith("Order #1042 is 12 min late.")
    log = logging.getLogger("apprise")
    print(log.propagate, log.handlers, apprise_call._library.cache_info())
    assert "s3cret" not in caplog.text
    assert "1042" not in caplog.text


def test_a_name_that_leads_home_is_refused(service: tuple[Service, str], at_home: str) -> None:
    """Also when it led elsewhere while the URL was saved: the answer in use is judged."""
    with pytest.raises(ConfigurationError, match="private or local") as caught:
        send(provider(at_home))
    assert caught.value.endpoint_only
    assert service[0].taken == []


def test_a_redirect_is_not_followed(service: tuple[Service, str], at_home: str) -> None:
    taken, origin = service
    taken.status, taken.location = 307, f"{origin}/elsewhere"
    with pytest.raises(ConfigurationError):
        send(provider(at_home + "&redirect=yes"), origin)
    assert [path for path, _, _ in taken.taken] == ["/hook"]


def test_a_service_that_is_not_there(at_home: str, service: tuple[Service, str]) -> None:
    gone = at_home.replace(service[1].rpartition(":")[2], "9")
    with pytest.raises(TransientError) as caught:
        send(provider(gone), "http://127.0.0.1:9")
    assert "s3cret" not in str(caught.value)


def test_a_service_that_never_answers(
    service: tuple[Service, str], at_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service[0].is_slow = True
    monkeypatch.setattr(apprise_call, "_READ_S", 0.2)
    with pytest.raises(OutcomeUnknown):
        send(provider(at_home), service[1])


@pytest.mark.parametrize("text", ["Toast says error=401.", "Their CERTIFICATE_VERIFY_FAILED"])
def test_the_message_does_not_say_how_it_ended(
    service: tuple[Service, str], at_home: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The library writes it down as well, beside the words that count."""
    service[0].is_slow = True
    monkeypatch.setattr(apprise_call, "_READ_S", 0.2)
    with pytest.raises(OutcomeUnknown):
        send(provider(at_home), service[1], text=text, subject=text)


def test_waiting_ends_before_the_library_does(
    service: tuple[Service, str], at_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service[0].is_slow = True
    monkeypatch.setattr(apprise_call, "LIMIT_S", 0.2)
    with pytest.raises(OutcomeUnknown, match="in time"):
        send(provider(at_home), service[1])


def test_what_no_thread_got_to_never_left(
    service: tuple[Service, str], at_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = apprise_call.ThreadPoolExecutor(1)
    busy.submit(service[0].wait.wait, 5)
    monkeypatch.setattr(apprise_call, "_pool", busy)
    monkeypatch.setattr(apprise_call, "LIMIT_S", 0.2)
    with pytest.raises(TransientError, match="no thread"):
        send(provider(at_home), service[1])
    service[0].wait.set()
    busy.shutdown()
    assert service[0].taken == []


@pytest.mark.parametrize("template", ["/etc/passwd", "file:///etc/passwd"])
def test_files_of_this_machine_are_not_sent(template: str) -> None:
    """Some services read a template by its path, which anybody could type."""
    with pytest.raises(ConfigurationError, match="service_url"):
        provider(f"discord://0123456789/abcDEF-token_of_a-webhook?template={template}")
