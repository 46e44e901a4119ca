"""Scans of papers people signed: what may be kept, and told by their bytes, not their names."""

from __future__ import annotations

MAX_BYTES = 5 * 1024 * 1024
#: first bytes -> (media type, file name ending)
_KINDS = {
    b"%PDF-": ("application/pdf", "pdf"),
    b"\x89PNG\r\n\x1a\n": ("image/png", "png"),
    b"\xff\xd8\xff": ("image/jpeg", "jpg"),
}


class ScanRefused(ValueError):
    """The file cannot be kept as a proof; ``code`` is empty, too_large or not_a_scan."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def kind_of(data: bytes) -> tuple[str, str]:
    """(media type, ending) of a PDF, PNG or JPEG of at most 5 MB; raises ScanRefused."""
    if not data:
        raise ScanRefused("empty")
    if len(data) > MAX_BYTES:
        raise ScanRefused("too_large")
    for start, kind in _KINDS.items():
        if data.startswith(start):
            return kind
    raise ScanRefused("not_a_scan")
