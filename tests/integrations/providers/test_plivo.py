"""Plivo beyond the common contract: every answer and code, both signatures, its words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from integrations.contracts import HttpResponse, InboundCall
from integrations.errors import (
    ConfigurationError,
    MessageRejected,
    OutcomeUnknown,
    RateLimited,
    RecipientUnreachable,
    SignatureInvalid,
    TransientError,
)
from tests.integrations import fixture_files as files

HOOK = "https://alerts.example.com/hooks/messages/tok_1/"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
NOW = datetime(2026, 3, 14, 22, 42, 5, tzinfo=UTC)
NONCE = "05429567804466091622"
UUID = "5b40a428-bfc7-4daf-9d06-726c558bf3b8"


def mac(text: str, key: str = TOKEN) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def call(
    form: dict[str, str],
    *,
    url: str = HOOK,
    v3: str | None = None,
    v2: str | None = None,
    suffix: str = "",
) -> InboundCall:
    """A call with the given signatures; ``suffix`` "-ma" uses the main account's header names."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for version, signature in (("3", v3), ("2", v2)):
        if signature is not None:
            headers[f"x-plivo-signature{suffix}-v{version}"] = signature
            headers[f"x-plivo-signature-v{version}-nonce"] = NONCE
    query = {name: values[0] for name, values in parse_qs(url.partition("?")[2]).items()}
    return InboundCall("POST", url, headers, urlencode(form).encode(), NOW, query)


def signed(form: dict[str, str], **changes: Any) -> InboundCall:
    text = HOOK + "?" + "".join(name + form[name] for name in sorted(form)) + "." + NONCE
    return call(form, v3=mac(text), **changes)


# --- the answer to a send -------------------------------------------------------------------------


def outcome(status: int, body: object, **headers: str) -> Any:
    answer = HttpResponse(status, headers, json.dumps(body).encode())
    return files.provider("plivo").outcome(files.message("plivo"), answer)


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (400, "text parameter not present", MessageRejected),
        (400, "dst parameter not valid", RecipientUnreachable),
        (400, "the Destination Number is invalid", RecipientUnreachable),
        (400, "src and destinations differ", MessageRejected),
        (401, "", ConfigurationError),
        (403, "not permitted", ConfigurationError),
        (404, "not found", ConfigurationError),
        (405, "", ConfigurationError),
        (409, "", ConfigurationError),
        (422, "", MessageRejected),
        (429, "", RateLimited),
        (500, "", TransientError),
        (501, "", TransientError),
        (502, "", OutcomeUnknown),
        (503, "", TransientError),
        (504, "", OutcomeUnknown),
        (400, "Insufficient Credit", ConfigurationError),
        (402, "Insufficient credit", ConfigurationError),
        (500, "insufficient credit on account", ConfigurationError),
    ],
)
def test_every_answer(status: int, words: str, error: type[Exception]) -> None:
    with pytest.raises((error,)) as caught:
        outcome(status, {"api_id": "x", "error": words})
    assert type(caught.value) is error
    assert not words or words not in str(caught.value)


def test_the_id_is_the_first_of_a_list() -> None:
    assert (
        outcome(202, {"message_uuid": ["a-1", "a-2"], "invalid_number": ["1"]}).vendor_id == "a-1"
    )


@pytest.mark.parametrize("ids", [None, "a-1", [], [1], [""], {}])
def test_an_acceptance_without_an_id_is_unknown(ids: object) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(202, {"message_uuid": ids})


def test_retry_after_is_honoured_when_sent() -> None:
    with pytest.raises(RateLimited) as caught:
        outcome(429, {}, **{"retry-after": "4"})
    assert (caught.value.retry_after_s, caught.value.whole_account) == (4.0, True)
    with pytest.raises(RateLimited) as caught:
        outcome(429, {})
    assert caught.value.retry_after_s is None


# --- the request ----------------------------------------------------------------------------------


def body_of(settings: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    provider = files.provider("plivo", **(settings or {}))
    body = provider.request(files.message("plivo", **changes)).body
    loaded: dict[str, Any] = json.loads(body)
    return loaded


def test_a_powerpack_instead_of_a_sender() -> None:
    body = body_of({"sender": "", "powerpack_uuid": "pp-1"})
    assert (body["powerpack_uuid"], "src" in body) == ("pp-1", False)


@pytest.mark.parametrize("settings", [{"sender": ""}, {"powerpack_uuid": "pp-1"}])
def test_exactly_one_way_to_send(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        files.provider("plivo", **settings)


@pytest.mark.parametrize("to", ["", "12025550142<12025550143", "+1 202", "ana", "+", "١٢٣٤٥٦٧"])
def test_what_is_no_number_never_leaves(to: str) -> None:
    with pytest.raises(RecipientUnreachable):
        files.provider("plivo").request(files.message("plivo", to=to))


@pytest.mark.parametrize(("given", "sent"), [(-5, 1), (0, 1), (600, 600), (90000, 10800)])
def test_the_time_limit_goes_to_the_vendor(given: int, sent: int) -> None:
    assert body_of(valid_for_s=given)["message_expiry"] == sent


@pytest.mark.parametrize(("keep", "log"), [("no", "false"), ("yes", "true"), ("", "true")])
def test_plivo_may_be_told_to_keep_nothing(keep: str, log: str) -> None:
    assert body_of({"keep_texts": keep})["log"] == log


def test_no_callback_no_field() -> None:
    assert {"url", "method"}.isdisjoint(body_of(callback_url=""))


def test_the_text_is_normalized() -> None:
    assert body_of(text="Your order’s ready…")["text"] == "Your order's ready..."


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * 1600, True),
        ("a" * 1601, False),
        ("я" * 737, True),
        ("я" * 738, False),
        ("😀" * 368, True),
        ("😀" * 369, False),
        ("", False),
        (" \n", False),
    ],
)
def test_length_by_alphabet(text: str, fits: bool) -> None:
    if fits:
        assert body_of(text=text)["text"] == text
    else:
        with pytest.raises(MessageRejected):
            body_of(text=text)


# --- receipts -------------------------------------------------------------------------------------


def receipts(form: dict[str, str]) -> Any:
    return files.provider("plivo").receipts(
        signed({"MessageUUID": UUID, "To": "12025550142", "From": "12025550100", **form})
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("queued", None),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "read"),
        ("undelivered", "failed"),
        ("failed", "failed"),
        ("rejected", "failed"),
        ("brand_new", None),
        ("", None),
    ],
)
def test_every_status(status: str, kind: str | None) -> None:
    read = receipts({"Status": status})
    assert [(r.kind.value, r.vendor_id) for r in read] == ([(kind, UUID)] if kind else [])


@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        ("10", "failed", "rejected"),
        ("20", "failed", "transient"),
        ("30", "failed", "rejected"),
        ("40", "failed", "config"),
        ("50", "failed", "unreachable"),
        ("60", "failed", "rejected"),
        ("70", "failed", "unreachable"),
        ("80", "failed", "transient"),
        ("90", "failed", "config"),
        ("100", "failed", "unreachable"),
        ("110", "failed", "rejected"),
        ("200", "failed", "opted_out"),
        ("201", "failed", "config"),
        ("420", "expired", ""),
        ("450", "failed", "config"),
        ("900", "failed", "config"),
        ("1000", "failed", "transient"),
        ("300", "failed", "transient"),
        ("451", "failed", "transient"),
        ("910", "failed", "transient"),
        ("", "failed", ""),
        ("000", "failed", ""),
    ],
)
def test_every_code(code: str, kind: str, error: str) -> None:
    [receipt] = receipts({"Status": "undelivered", "ErrorCode": code})
    assert (receipt.kind.value, receipt.error) == (kind, error)
    assert receipt.vendor_code == ("" if code == "000" else code)


def test_a_delivered_message_has_no_error_whatever_the_code() -> None:
    [receipt] = receipts({"Status": "delivered", "ErrorCode": "000"})
    assert (receipt.error, receipt.vendor_code) == ("", "")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-14 22:42:04", datetime(2026, 3, 14, 22, 42, 4, tzinfo=UTC)),
        ("2026-03-14T23:42:04+01:00", datetime(2026, 3, 14, 22, 42, 4, tzinfo=UTC)),
        ("soon", None),
        ("", None),
        ("0001-01-01 00:00:00+10:00", None),
    ],
)
def test_times(text: str, moment: datetime | None) -> None:
    [receipt] = receipts({"Status": "delivered", "DeliveryReportTime": text})
    assert receipt.vendor_time == moment


# --- signatures -----------------------------------------------------------------------------------

STATUS = {
    "From": "14155550100",
    "MessageUUID": UUID,
    "Status": "delivered",
    "To": "14155552671",
}
STATUS_URL = "https://alerts.example.com/webhooks/plivo/status"


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (STATUS_URL, "5T7NuCm5/wGj1huuFQi+vWeFzZxr9huPezUVEZ/yqqo="),
        (f"{STATUS_URL}?tenant=7", "PPkOFgjhfGfIMV0LMb8t4HWp+Riq7gWDy9dKOKF+9qg="),
    ],
)
def test_version_3_vectors(url: str, signature: str) -> None:
    provider = files.provider("plivo", auth_token="my_auth_token")
    made = call(STATUS, url=url, v3=signature)
    assert len(provider.receipts(made)) == 1
    for altered in (
        replace(made, body=made.body.replace(b"delivered", b"failed")),
        replace(made, url=f"{url}x"),
        replace(made, headers={**made.headers, "x-plivo-signature-v3-nonce": "1"}),
    ):
        with pytest.raises(SignatureInvalid):
            provider.receipts(altered)


@pytest.mark.parametrize(
    ("url", "nonce", "signature"),
    [
        ("https://answer.url", "12345", "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="),
        (STATUS_URL, NONCE, "QAxWuKCGqFLWJuhG6lH47qsMWRMFyxcC/RTNJesdiqI="),
        (f"{STATUS_URL}?tenant=7", NONCE, "QAxWuKCGqFLWJuhG6lH47qsMWRMFyxcC/RTNJesdiqI="),
    ],
)
def test_version_2_vectors(url: str, nonce: str, signature: str) -> None:
    provider = files.provider("plivo", auth_token="my_auth_token")
    made = call(STATUS, url=url, v2=signature)
    made = replace(made, headers={**made.headers, "x-plivo-signature-v2-nonce": nonce})
    [receipt] = provider.receipts(made)
    assert receipt.event_id == f"v2:{nonce}"
    for headers in (
        {**made.headers, "x-plivo-signature-v2-nonce": "1"},
        {**made.headers, "x-plivo-signature-v2": "A" + signature[1:-2] + "A="},
        {"x-plivo-signature-v2": signature},
        {"x-plivo-signature-v2-nonce": nonce},
        {},
    ):
        with pytest.raises(SignatureInvalid):
            provider.receipts(replace(made, headers=headers))


def test_a_body_nothing_protects_never_suppresses_an_address() -> None:
    form = {"MessageUUID": UUID, "Status": "failed", "ErrorCode": "200", "To": "12025550142"}
    [receipt] = files.provider("plivo").receipts(call(form, v2=mac(HOOK + NONCE)))
    assert (receipt.kind.value, receipt.vendor_code, receipt.error) == ("failed", "200", "")
    reply = {"From": "12025550142", "To": "12025550100", "Text": "START", "MessageUUID": "m-1"}
    made = call(reply, v2=mac(HOOK + NONCE))
    [first] = files.provider("plivo").replies(made)
    other = replace(made, body=made.body.replace(b"m-1", b"m-2"))
    [second] = files.provider("plivo").replies(other)
    assert first.vendor_id == second.vendor_id == f"v2:{NONCE}"  # taken once


def test_version_3_counts_where_both_are_there() -> None:
    made = signed(STATUS)
    both = {**made.headers, "x-plivo-signature-v2": mac(HOOK + NONCE)}
    both["x-plivo-signature-v2-nonce"] = NONCE
    [receipt] = files.provider("plivo").receipts(replace(made, headers=both))
    assert receipt.event_id == ""


def test_several_signatures_in_one_header() -> None:
    made = signed(STATUS)
    given = f"{mac('other')}, {made.headers['x-plivo-signature-v3']}"
    headers = {**made.headers, "x-plivo-signature-v3": given}
    assert len(files.provider("plivo").receipts(replace(made, headers=headers))) == 1


def test_the_main_account_may_sign_for_a_subaccount() -> None:
    text = HOOK + "?" + "".join(name + STATUS[name] for name in sorted(STATUS)) + "." + NONCE
    made = call(STATUS, v3=mac(text, "main-token"))
    headers = dict(made.headers)
    headers["x-plivo-signature-ma-v3"] = headers.pop("x-plivo-signature-v3")
    made = replace(made, headers=headers)
    assert len(files.provider("plivo", main_auth_token="main-token").receipts(made)) == 1
    with pytest.raises(SignatureInvalid):
        files.provider("plivo").receipts(made)


def test_the_token_before_counts_while_it_is_set() -> None:
    text = HOOK + "?" + "".join(name + STATUS[name] for name in sorted(STATUS)) + "." + NONCE
    for made in (
        call(STATUS, v3=mac(text, "the old one")),
        call(STATUS, v2=mac(HOOK + NONCE, "the old one")),
        call(STATUS, v2=mac(HOOK + NONCE, "the old one"), suffix="-ma"),
    ):
        rotated = files.provider("plivo", previous_auth_token="the old one")
        assert len(rotated.receipts(made)) == 1
        with pytest.raises(SignatureInvalid):
            files.provider("plivo").receipts(made)


def test_query_and_repeated_fields_are_signed_sorted_and_decoded() -> None:
    url = HOOK + "?b=%C3%A9&a=2&a=1"
    body = urlencode([("X", "é 🍜"), ("Status", "sent"), ("X", "1")]).encode()
    for said, count in (("X1Xé 🍜", 1), ("Xé 🍜X1", 0)):
        text = f"{HOOK}?a=1&a=2&b=é.Statussent{said}.{NONCE}"
        made = replace(call({}, url=url, v3=mac(text)), body=body)
        if count:
            assert len(files.provider("plivo").receipts(made)) == count
        else:
            with pytest.raises(SignatureInvalid):
                files.provider("plivo").receipts(made)


def test_an_empty_form_is_signed_without_a_question_mark() -> None:
    assert files.provider("plivo").receipts(call({}, v3=mac(f"{HOOK}.{NONCE}"))) == []


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(SignatureInvalid, match="too many"):
        files.provider("plivo").receipts(signed({f"F{i}": "1" for i in range(500)}))


# --- replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "handled"),
    [
        ("STOP", "stop"),
        ("End", "stop"),
        ("quit  ", "stop"),
        ("START", "start"),
        ("unstop", "start"),
        ("HELP", "help"),
        ("info", "help"),
        ("CANCEL", ""),
        ("UNSUBSCRIBE", ""),
        ("REVOKE", ""),
        ("STOP ALL", ""),
        ("please stop", ""),
        ("", ""),
    ],
)
def test_words_plivo_answers_itself(text: str, handled: str) -> None:
    form = {"From": "12025550142", "To": "12025550100", "Text": text, "MessageUUID": "m-1"}
    [reply] = files.provider("plivo").replies(signed(form))
    assert (reply.vendor_handled, reply.vendor_confirmed) == (handled, bool(handled))
    [reply] = files.provider("plivo", vendor_answers_stop="no").replies(signed(form))
    assert (reply.vendor_handled, reply.vendor_confirmed) == ("", False)
    assert (reply.sender, reply.recipient) == ("+12025550142", "+12025550100")


def test_short_codes_get_no_plus() -> None:
    form = {"From": "12025550142", "To": "24273", "Text": "x", "MessageUUID": "m-1"}
    [reply] = files.provider("plivo").replies(signed(form))
    assert reply.recipient == "24273"


def test_the_answer_is_an_empty_response_in_xml() -> None:
    answer = files.provider("plivo").answer(signed(STATUS))
    assert (answer.status, answer.body) == (200, b"<Response/>")
    assert answer.content_type.startswith("application/xml")
