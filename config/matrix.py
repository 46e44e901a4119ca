"""The provider table of the README, from what the providers declare."""

from __future__ import annotations

from integrations import registry
from integrations.contracts import Capabilities


def provider_table() -> str:
    """A Markdown table: one row a provider, sorted by channel and name."""
    rows = [
        "| provider | channel | receipts | replies | look-up | rate /s |",
        "|---|---|---|---|---|---|",
    ]
    classes = [registry.provider_class(key) for key in registry.PROVIDERS]
    for cls in sorted(classes, key=lambda c: (c.channel, c.key)):
        can = cls.capabilities
        rate = f"{can.rate_per_s:g}" if can.rate_per_s else "-"
        rows.append(
            f"| {cls.title or cls.key} | {cls.channel} | {_receipts(can)} | "
            f"{_mark(can.replies)} | {_mark(can.look_up or can.idempotency_key)} | {rate} |"
        )
    return "\n".join(rows)


def source_list() -> str:
    """The sources' names in one sentence."""
    names = sorted(
        (registry.source_class(key).title or key for key in registry.SOURCES), key=str.casefold
    )
    return ", ".join(names)


def fill(readme: str) -> str:
    """The README with its generated parts renewed."""
    head, _, rest = readme.partition("<!-- providers:")
    comment, _, rest = rest.partition("-->\n")
    _, _, rest = rest.partition("<!-- end -->")
    before, _, after = rest.partition("Sources: ")
    _, _, after = after.partition(". Anything else")
    return (
        f"{head}<!-- providers:{comment}-->\n{provider_table()}\n<!-- end -->"
        f"{before}Sources: {source_list()}. Anything else{after}"
    )


def _receipts(can: Capabilities) -> str:
    return "by stream" if can.stream else _mark(can.receipts)


def _mark(value: bool) -> str:
    return "yes" if value else "-"
