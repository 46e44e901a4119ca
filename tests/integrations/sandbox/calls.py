"""Real HTTP in both directions: a client of the sandbox and a server it can call back."""

from __future__ import annotations

import json
import queue
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from integrations.contracts import HttpRequest, HttpResponse, InboundCall, basic_auth
from integrations.sandbox.server import SandboxServer

PUBLIC = "https://alerts.example.com"


@dataclass(frozen=True)
class Received:
    """One call the sandbox made."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def url(self) -> str:
        """The public URL the vendor believes it called."""
        return PUBLIC + self.path

    def as_call(self) -> InboundCall:
        return InboundCall(
            method=self.method,
            url=self.url,
            headers=self.headers,
            body=self.body,
            received_at=datetime.now(UTC),
            query=dict(parse_qsl(urlsplit(self.path).query)),
        )


class Receiver:
    """Our endpoint as the sandbox sees it: keeps every call, answers the scripted statuses."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Received] = queue.Queue()
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.calls.put(Received("POST", self.path, headers, body))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def next(self) -> Received:
        """The next call, in the order they arrived."""
        return self.calls.get(timeout=5)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Client:
    """What our side says to the sandbox."""

    def __init__(self, server: SandboxServer, receiver: Receiver) -> None:
        self.url = server.url
        self.receiver = receiver

    def send(self, request: HttpRequest) -> HttpResponse:
        url = request.url if "://" in request.url else self.url + request.url
        call = urllib.request.Request(
            url, data=request.body or None, headers=dict(request.headers), method=request.method
        )
        try:
            with urllib.request.urlopen(call, timeout=10) as answer:
                return _response(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return _response(refused)

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.send(HttpRequest.get(path, headers=headers))

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A call below /_sandbox that must succeed."""
        response = self.try_control(method, path, body)
        assert response.status == 200, response.text()
        return response.json()

    def try_control(self, method: str, path: str, body: Any = None) -> HttpResponse:
        content = json.dumps(body).encode() if body is not None else b""
        headers = {"Content-Type": "application/json"}
        return self.send(HttpRequest(method, f"/_sandbox/{path}", headers, content))

    def register(self, vendor: str, settings: dict[str, str]) -> str:
        """Register an account whose public webhook URL leads to the receiver."""
        path = f"/hooks/messages/{vendor}/"
        account = {
            "vendor": vendor,
            "settings": settings,
            "webhook_url": PUBLIC + path,
            "deliver_to": self.receiver.url + path,
        }
        self.control("POST", "accounts", account)
        return PUBLIC + path

    def messages(self, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", f"messages?{urlencode(query)}")[
            "messages"
        ]
        return found


SID = "AC" + "0" * 32
TWILIO = {"account_sid": SID, "auth_token": "twilio-token", "sender": "+12025550100"}
MAILGUN = {
    "domain": "mg.example.com",
    "api_key": "key-1",
    "from_address": "orders@mg.example.com",
    "signing_key": "webhook-signing-key",
}
SLACK = {
    "webhook_url": "https://hooks.slack.com/services/T0TEAM/B0KITCHEN/s3cret",
    "signing_secret": "slack-secret",
}


def text(client: Client, **fields: str) -> HttpResponse:
    """POST a text to the Twilio stand-in; ``fields`` replace the usual ones, "" leaves one out."""
    form = {"To": "+12025550142", "From": "+12025550100", "Body": "Order #1042 is ready", **fields}
    form = {name: value for name, value in form.items() if value}
    auth = (SID, TWILIO["auth_token"])
    url = f"/twilio/2010-04-01/Accounts/{SID}/Messages.json"
    return client.send(HttpRequest.post(url, form=form, auth=auth))


def mail(client: Client, **fields: str) -> HttpResponse:
    """POST a mail to the Mailgun stand-in; names as :func:`text`."""
    form = {
        "from": "Lucky Bowl <orders@mg.example.com>",
        "to": "ana@example.com",
        "subject": "Order #1042 is ready",
        "text": "Come and get it.",
        "v:attempt_id": "attempt-1",
        **fields,
    }
    form = {name: value for name, value in form.items() if value}
    url = "/mailgun/v3/mg.example.com/messages"
    return client.send(HttpRequest.post(url, form=form, auth=("api", MAILGUN["api_key"])))


def login(user: str, password: str) -> dict[str, str]:
    return {"Authorization": basic_auth(user, password)}


def _response(answer: Any) -> HttpResponse:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return HttpResponse(answer.status, headers, answer.read())
