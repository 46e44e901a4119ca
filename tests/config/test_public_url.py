"""The public address: read once, never from a request; a warning when vendors cannot reach it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.test import RequestFactory

from config import runner
from config.checks import address_problems
from notifications.portal_answers import caller_of
from orders.public_url import read_public_url, why_unreachable
from tests.factories import make_provider_account, make_source_account


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("https://orders.example.com", "https://orders.example.com"),
        (" https://Orders.Example.com:8443/ ", "https://orders.example.com:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_an_address_is_read(typed: str, read: str) -> None:
    assert read_public_url(typed) == read


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("orders.example.com", "http:// or https://"),
        ("ftp://orders.example.com", "http:// or https://"),
        ("https://", "http:// or https://"),
        ("https://orders.example.com:notaport", "no address"),
        ("https://me:secret@orders.example.com", "user or password"),
        ("https://orders.example.com/shop", "end after the host"),
        ("https://orders.example.com?x=1", "end after the host"),
    ],
)
def test_what_is_no_address_is_refused(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refusal:
        read_public_url(typed)
    assert "secret" not in str(refusal.value)


def test_a_bad_address_stops_the_start_with_its_name() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=django_settings.BASE_DIR,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PUBLIC_URL": "orders.example.com/shop",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "PUBLIC_URL: “orders.example.com/shop” must be http:// or https://" in done.stderr


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://orders.example.com", ""),
        ("http://orders.example.com", "plain"),
        ("http://127.0.0.1:8000", "inside"),
        ("https://127.0.0.1", "inside"),
        ("https://[::1]:8000", "inside"),
        ("https://192.168.1.10", "inside"),
        ("https://10.0.0.1", "inside"),
        ("https://localhost", "inside"),
        ("https://kitchen.local", "inside"),
        ("https://8.8.8.8", ""),
    ],
)
def test_who_can_reach_it(url: str, why: str) -> None:
    assert why_unreachable(url) == why


# --- the system check -------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_live_account_at_a_local_address_is_warned_about(settings: Any) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    assert address_problems() == []
    till = make_source_account(name="Till", mode="live")
    make_source_account(name="Try", mode="sandbox")
    make_source_account(name="Old", mode="live", enabled=False)
    (said,) = address_problems()
    assert said.startswith("PUBLIC_URL is http://127.0.0.1:8000, which nobody outside reaches")
    assert "“Till” is live" in said
    (found,) = [one for one in run_checks(databases=["default"]) if one.id == "order_up.W001"]
    assert found.msg == said
    assert [one for one in run_checks() if one.id == "order_up.W001"] == []
    make_provider_account(till.restaurant, provider="twilio", name="Texts", mode="live")
    (said,) = address_problems()
    assert "“Till”, “Texts” are live" in said
    settings.PUBLIC_URL = "http://orders.example.com"
    (said,) = address_problems()
    assert "most vendors call https:// only" in said
    settings.PUBLIC_URL = "https://orders.example.com"
    assert address_problems() == []


# --- proxies ----------------------------------------------------------------------------------


def test_the_scheme_a_proxy_names_counts_and_its_host_does_not() -> None:
    request = RequestFactory().get(
        "/",
        headers={
            "Host": "orders.example.com",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil.example.com",
        },
    )
    assert request.is_secure()
    assert request.get_host() == "orders.example.com"


@pytest.fixture(params=[True, False], ids=["behind a proxy", "without"])
def echo(request: Any, settings: Any) -> Iterator[tuple[bool, str]]:
    """Our web server around an application that tells what it was told."""

    def application(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        names = ("HTTP_X_FORWARDED_HOST", "REMOTE_ADDR", "HTTP_FORWARDED")
        said = [environ["wsgi.url_scheme"], *(environ.get(name, "-") for name in names)]
        return [" ".join(said).encode()]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.PORT = free.getsockname()[1]
    settings.HOST = "127.0.0.1"
    settings.BEHIND_PROXY = request.param
    server = runner._start_web(application)
    yield request.param, f"http://127.0.0.1:{settings.PORT}/"
    server.close()


def test_the_web_server_hears_scheme_and_caller_from_a_proxy_only(echo: tuple[bool, str]) -> None:
    is_behind, url = echo
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example.com",
        # the caller wrote the first entry itself, the proxy added whom it saw
        "X-Forwarded-For": "192.0.2.1, 198.51.100.7",
        "Forwarded": "host=evil.example.com",
    }
    asked = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(asked, timeout=5) as answer:
        caller = "198.51.100.7" if is_behind else "127.0.0.1"
        assert answer.read().decode() == f"{'https' if is_behind else 'http'} - {caller} -"


@pytest.mark.parametrize(
    ("is_behind", "said", "caller"),
    [
        (True, "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        (True, "", "127.0.0.1"),
        (False, "198.51.100.7", "127.0.0.1"),
    ],
)
def test_limits_count_whom_our_proxy_saw(
    is_behind: bool, said: str, caller: str, settings: Any
) -> None:
    settings.BEHIND_PROXY = is_behind
    headers = {"X-Forwarded-For": said} if said else {}
    assert caller_of(RequestFactory().get("/", headers=headers)) == caller
