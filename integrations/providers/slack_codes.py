"""What Slack's words mean: of incoming webhooks, and of the Web API's chat.postMessage."""

from __future__ import annotations

from enum import StrEnum


class Meaning(StrEnum):
    """What to do about a word."""

    REFUSED = "refused"
    DEAD = "dead"
    AGAIN = "again"
    SLOWER = "slower"
    UNKNOWN = "unknown"


_REFUSED = """
    invalid_payload invalid_blocks invalid_blocks_format no_text too_many_attachments
    missing_text_or_fallback_or_attachments msg_too_long msg_blocks_too_long invalid_arguments
    invalid_json json_not_object thread_not_found cannot_reply_to_message
    restricted_action_thread_locked restricted_action_non_threadable_channel
"""
#: this one endpoint will never work again, or not before somebody changes the Slack side
_DEAD = """
    invalid_token user_not_found action_prohibited posting_to_general_channel_denied team_disabled
    no_service no_service_id no_active_hooks no_team channel_not_found channel_is_archived
    is_archived not_in_channel restricted_action restricted_action_read_only_channel
    restricted_action_thread_only_channel
    not_authed invalid_auth account_inactive token_revoked token_expired missing_scope no_permission
    not_allowed_token_type org_login_required ekm_access_denied access_denied
    team_access_not_granted
"""
MEANINGS = {
    **dict.fromkeys(_REFUSED.split(), Meaning.REFUSED),
    **dict.fromkeys(_DEAD.split(), Meaning.DEAD),
    **dict.fromkeys(
        ("rollup_error", "service_unavailable", "request_timeout", "team_added_to_org"),
        Meaning.AGAIN,
    ),
    **dict.fromkeys(("rate_limited", "ratelimited"), Meaning.SLOWER),
    # "some aspect of the operation may have succeeded", says the method's page
    **dict.fromkeys(("fatal_error", "internal_error"), Meaning.UNKNOWN),
}
#: the message a reply hangs on is gone or takes no replies
THREAD_GONE = frozenset(
    {
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
        "restricted_action_non_threadable_channel",
    }
)
