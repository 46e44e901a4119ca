"""python -m tests.conformance SPECS: every provider's requests against the vendors' specifications.

SPECS is a folder with ``<provider>.json`` files (OpenAPI, JSON Schema or a GraphQL introspection).
Prints provider, cases, failures; the exit code is 1 when anything failed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django

#: fewer cases than this prove too little
LEAST = 25


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from integrations import registry
    from tests.conformance.check import check

    specs = Path(arguments[0]) if arguments else None
    if specs is None or not specs.is_dir():
        print("usage: make conformance SPECS=<folder with the vendors' specifications>")
        return 2
    failed = 0
    print(f"{'provider':18}{'cases':>7}{'failures':>10}{'refused':>9}  against")
    for key in sorted(registry.PROVIDERS):
        result = check(key, specs)
        if result is None:
            print(f"{key:18}{'-':>7}{'-':>10}{'-':>9}  nothing: it has no vendor")
            continue
        print(
            f"{key:18}{result.checked:>7}{len(result.failures):>10}{result.refused:>9}"
            f"  {result.against}"
        )
        if result.checked < LEAST:
            result.failures.append(f"only {result.checked} cases, at least {LEAST} are wanted")
        for failure in result.failures[:12]:
            print(f"    {failure}")
        failed += bool(result.failures)
    print("0 failures" if not failed else f"{failed} providers failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
