"""The development provider prints, and neither needs nor touches the network."""

from __future__ import annotations

import asyncio

import pytest

from integrations.http import Http
from integrations.providers.console import Console
from tests.integrations import fixture_files as files


def test_it_prints_one_line_and_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    http = Http()
    message = files.message("console", text="Order 7\nis ready…")
    accepted = asyncio.run(Console({}).send(message, http))
    assert capsys.readouterr().out == "[sms] to ...42: Order 7 is ready...\n"
    assert (accepted.vendor_id, accepted.segments) == (message.attempt_id, 1)
    assert not http.counts
