"""Every registered source as its vendor calls us: its fixtures, signed as that vendor signs."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.test import Client

from integrations import registry
from integrations.signatures import hmac_base64, hmac_hex
from orders.models import SourceAccount
from orders.selectors import clear_caches, webhook_url
from tests.factories import make_location, make_restaurant, make_source_account
from tests.integrations.sources.payload_files import load, names

#: what an account has to know; "{}" is another value for every account
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "cloudevents": {"secret": "key{}"},
    "clover": {"auth_code": "key{}", "access_token": "token"},
    "deliverect": {"webhook_secret": "key{}"},
    "doordash": {"authorization": "Bearer key{}"},
    "grubhub": {"username": "user", "password": "key{}"},
    "lightspeed": {"username": "user", "password": "key{}"},
    "olo": {"shared_secret": "key{}"},
    "otter": {"webhook_secret": "key{}"},
    "power_automate": {"secret": "key{}"},
    "shopify": {
        "client_secret": "key{}",
        "access_token": "token",
        "shop_domain": "sample-shop.myshopify.com",
    },
    "square": {"signature_key": "key{}", "access_token": "token"},
    "toast": {"secret": "key{}"},
    "uber_eats": {"client_secret": "key{}", "access_token": "token"},
    "woocommerce": {"webhook_secret": "key{}"},
}
#: statuses a plugin of a shop added, as its manager mapped them
MAPPED: Mapping[str, Any] = {"woocommerce": {"order": {"ready-for-pickup": "ready"}}}
#: nobody posts to it: its updates come through the API
NOT_POSTED = "rest"
SOURCES = sorted(set(registry.SOURCES) - {NOT_POSTED})

Headers = dict[str, str]
Sign = Callable[[SourceAccount, bytes, Headers], Headers]


def open_account(key: str, number: int = 1, **settings: str) -> SourceAccount:
    """An account at source ``key`` of a restaurant whose one location takes any order."""
    restaurant = make_restaurant()
    location = make_location(restaurant, external_ids=[])
    account = make_source_account(
        restaurant,
        source=key,
        location=location,
        settings={n: v.format(number) for n, v in SETTINGS[key].items()} | settings,
        status_map=MAPPED.get(key, {}),
    )
    clear_caches()
    return account


def samples(key: str) -> list[str]:
    """The fixtures of a source that hold a body of the vendor."""
    return [name for name in names(key) if "body" in load(key, name)]


def recorded(key: str, name: str) -> tuple[bytes, Headers]:
    """Body and headers of one fixture."""
    held = load(key, name)
    return json.dumps(held["body"]).encode(), dict(held.get("headers", {}))


def post(
    account: SourceAccount,
    body: bytes,
    headers: Headers | None = None,
    *,
    as_account: SourceAccount | None = None,
    **changes: str,
) -> Any:
    """POST ``body`` with a valid signature (of ``as_account`` when given) and ``changes`` to it."""
    sent = dict(headers or {})
    if not any(name.lower() == "content-type" for name in sent):
        structured = account.source == "cloudevents"
        sent["Content-Type"] = f"application/{'cloudevents+' if structured else ''}json"
    signed = sign(as_account or account, body, sent)
    sent = {**sent, **signed, **{_name_like(name, signed): v for name, v in changes.items()}}
    return Client(raise_request_exception=False).post(
        f"/hooks/orders/{account.token}/",
        data=body,
        content_type=next(v for name, v in sent.items() if name.lower() == "content-type"),
        headers=sent,
    )


def _name_like(name: str, signed: Headers) -> str:
    """``signature`` stands for the header the source signs in."""
    return next(iter(signed)) if name == "signature" else name


def sign(account: SourceAccount, body: bytes, headers: Headers) -> Headers:
    """The headers that prove ``body`` comes from the vendor of ``account``; the proof first."""
    return SIGNERS[account.source](account, body, headers)


def _event(account: SourceAccount, body: bytes, headers: Headers) -> Headers:
    stamp = str(int(time.time()))
    said = [stamp]
    if "ce-id" in headers:
        said += [headers["ce-id"], headers["ce-source"], headers["ce-type"]]
    mac = hmac_hex(account.settings["secret"], ".".join(said).encode() + b"." + body)
    return {"X-Alert-Signature": f"t={stamp},v1={mac}"}


def _olo(account: SourceAccount, body: bytes, headers: Headers) -> Headers:
    ticks = str(621_355_968_000_000_000 + time.time_ns() // 100)
    number = headers.get("X-Olo-Message-Id", "m-1")
    words = (webhook_url(account).encode(), body, number.encode(), ticks.encode())
    return {
        "X-Olo-Signature": hmac_base64(account.settings["shared_secret"], b"\n".join(words)),
        "X-Olo-Message-Id": number,
        "X-Olo-Timestamp": ticks,
    }


def _toast(account: SourceAccount, body: bytes, headers: Headers) -> Headers:
    try:
        stamp = json.loads(body)["timestamp"]
    except (ValueError, LookupError, TypeError, RecursionError):
        stamp = ""
    said = body + (stamp if isinstance(stamp, str) else "").encode("utf-8", "surrogatepass")
    return {"Toast-Signature": hmac_base64(account.settings["secret"], said)}


def _square(account: SourceAccount, body: bytes, headers: Headers) -> Headers:
    said = webhook_url(account).encode() + body
    return {"X-Square-HmacSha256-Signature": hmac_base64(account.settings["signature_key"], said)}


def _basic(account: SourceAccount, body: bytes, headers: Headers) -> Headers:
    words = f"{account.settings['username']}:{account.settings['password']}"
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


def _bearer(account: SourceAccount, body: bytes, headers: Headers) -> Headers:
    return {"Authorization": f"Bearer {account.settings['secret']}"}


def _fixed(header: str, setting: str) -> Sign:
    return lambda account, body, headers: {header: account.settings[setting]}


def _mac(header: str, setting: str, encode: Callable[[str, bytes], str]) -> Sign:
    return lambda account, body, headers: {header: encode(account.settings[setting], body)}


SIGNERS: Mapping[str, Sign] = {
    "cloudevents": _event,
    "clover": _fixed("X-Clover-Auth", "auth_code"),
    "deliverect": _mac("X-Server-Authorization-HMAC-SHA256", "webhook_secret", hmac_hex),
    "doordash": _fixed("Authorization", "authorization"),
    "grubhub": _basic,
    "lightspeed": _basic,
    "olo": _olo,
    "otter": _mac("X-HMAC-SHA256", "webhook_secret", hmac_hex),
    "power_automate": _bearer,
    "shopify": _mac("X-Shopify-Hmac-Sha256", "client_secret", hmac_base64),
    "square": _square,
    "toast": _toast,
    "uber_eats": _mac("X-Uber-Signature", "client_secret", hmac_hex),
    "woocommerce": _mac("X-WC-Webhook-Signature", "webhook_secret", hmac_base64),
}


class Vendor:
    """A vendor's API that gives one answer to whatever is asked, 404 while it has none."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.body = b""
        self.asked: list[str] = []


@contextmanager
def answering() -> Iterator[Vendor]:
    """A vendor's API on a free port of this machine."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            vendor.asked.append(self.path)
            self.send_response(200 if vendor.body else 404)
            self.send_header("Content-Length", str(len(vendor.body)))
            self.end_headers()
            self.wfile.write(vendor.body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        vendor = Vendor(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield vendor
        server.shutdown()
        thread.join()
