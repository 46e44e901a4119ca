"""The rules of the house, read from the source: imports, completeness of adapters, sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations import registry

ROOT = Path(__file__).resolve().parent.parent
#: a module may import its own app and apps of a lower level; equal levels do not know each other
LEVELS = {"config": 4, "notifications": 3, "orders": 2, "consents": 1, "integrations": 1}
LONGEST_FILE = 400
#: files that may be longer, each with its reason
LONG_FILES: dict[str, str] = {}


def modules(*, with_migrations: bool) -> list[Path]:
    """Every Python file of the apps."""
    return sorted(
        path
        for app in LEVELS
        for path in (ROOT / app).rglob("*.py")
        if with_migrations or "migrations" not in path.parts
    )


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of every import in a file, also inside functions and type checks."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif _is_import_module(node):
            assert isinstance(node, ast.Call)
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def _is_import_module(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else None
    return "import_module" in (name, node.func.id if isinstance(node.func, ast.Name) else None)


def offences(paths: list[Path], forbidden: str) -> list[str]:
    """Imports of ``forbidden`` or anything below it."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in paths
        for line, name in imports(path)
        if name == forbidden or name.startswith(f"{forbidden}.")
    ]


def test_imports_point_downwards_only() -> None:
    upward = []
    for path in modules(with_migrations=False):
        own = path.relative_to(ROOT).parts[0]
        for line, name in imports(path):
            other = name.partition(".")[0]
            if other in LEVELS and other != own and LEVELS[other] >= LEVELS[own]:
                upward.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert upward == []


@pytest.mark.parametrize("forbidden", ["django.db", "django.contrib", "django.conf", "celery"])
def test_integrations_know_no_database_settings_or_queue(forbidden: str) -> None:
    assert offences(sorted((ROOT / "integrations").rglob("*.py")), forbidden) == []


def _in_service() -> list[Path]:
    """What runs in production: the benchmark times other clients on purpose."""
    return [p for p in modules(with_migrations=True) if ROOT / "config" / "bench" not in p.parents]


@pytest.mark.parametrize("client", ["requests", "httpx", "urllib.request", "http.client"])
def test_only_the_door_reaches_the_network(client: str) -> None:
    assert offences(_in_service(), client) == []


def test_only_the_door_and_the_sandbox_know_aiohttp() -> None:
    """The sandbox is a vendor: it serves, and calls us back."""
    found = {line.partition(":")[0] for line in offences(_in_service(), "aiohttp")}
    assert {path for path in found if not path.startswith("integrations/sandbox/")} <= {
        "integrations/http.py",
        "integrations/http_lines.py",
    }


def test_tests_are_not_imported_by_the_product() -> None:
    assert offences(modules(with_migrations=True), "tests") == []


def test_migrations_import_no_app_code() -> None:
    """A migration must still run when the code it was written beside has changed."""
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(with_migrations=True)
        if "migrations" in path.parts
        for line, name in imports(path)
        # fields and callable defaults named by a migration are frozen API of their modules
        if name.partition(".")[0] in LEVELS and not _is_schema_reference(path, name)
    ]
    assert found == []


def _is_schema_reference(path: Path, name: str) -> bool:
    """``import app.module`` as makemigrations writes it for custom fields and callables."""
    tree = ast.parse(path.read_text())
    return any(
        isinstance(node, ast.Import) and any(alias.name == name for alias in node.names)
        for node in tree.body
    )


@pytest.mark.parametrize("key", sorted(registry.PROVIDERS))
def test_a_provider_is_complete(key: str) -> None:
    _complete(key, "providers", registry.PROVIDERS[key])


@pytest.mark.parametrize("key", sorted(registry.SOURCES))
def test_a_source_is_complete(key: str) -> None:
    _complete(key, "sources", registry.SOURCES[key])


#: adapters without a vendor to stand in for
NO_SANDBOX = {"console", "rest"}


def _complete(key: str, kind: str, dotted: str) -> None:
    folder = ROOT / "integrations" / kind
    missing = [
        str(path.relative_to(ROOT))
        for path in (
            folder / f"{key}.md",
            ROOT / "tests" / "integrations" / kind / f"test_{key}.py",
        )
        if not path.is_file() or not path.read_text().strip()
    ]
    if not sorted((ROOT / "tests" / "fixtures" / key).glob("*.json")):
        missing.append(f"tests/fixtures/{key}/*.json")
    handlers = ROOT / "integrations" / "sandbox" / "vendors"
    if key not in NO_SANDBOX and not (handlers / f"{key}.py").is_file():
        missing.append(f"integrations/sandbox/vendors/{key}.py")
    assert missing == []
    assert dotted.startswith(f"integrations.{kind}.{key}.")


@pytest.mark.parametrize(
    ("kind", "table"), [("providers", registry.PROVIDERS), ("sources", registry.SOURCES)]
)
def test_every_adapter_module_belongs_to_a_registered_key(kind: str, table: dict[str, str]) -> None:
    """A file nobody registered is dead code; parts of an adapter carry its key in their name."""
    stems = {path.stem for path in (ROOT / "integrations" / kind).glob("*.py")} - {"__init__"}
    strays = [s for s in stems if not any(s == key or s.startswith(f"{key}_") for key in table)]
    assert strays == []


def test_no_file_is_too_long() -> None:
    # tests are tables more often than not: their length is the number of cases
    paths = [*modules(with_migrations=False), ROOT / "manage.py"]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in paths}
    too_long = {name for name, lines in lengths.items() if lines > LONGEST_FILE}
    assert sorted(too_long - LONG_FILES.keys()) == []
    assert sorted(LONG_FILES.keys() - too_long) == []  # an exception nobody needs any more
