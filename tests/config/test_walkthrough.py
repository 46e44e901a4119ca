"""The walk-through of CONTRIBUTING.md, done as it says in a copy of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
#: a line that names a file, then the block that goes into it
STEP = re.compile(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: what a step adds a line to -> the line before which it goes
LISTS = {
    "integrations/registry.py": '    "airship":',
    "integrations/sandbox/vendors/__init__.py": "    Twilio,\n",
}
PARTS = (
    "tests/integrations/test_contract.py",
    "tests/integrations/test_bad_answers.py",
    "tests/integrations/providers/test_acme.py",
    "tests/test_architecture.py",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    ignored = shutil.ignore_patterns(".*", "var", "__pycache__", "node_modules", "*.egg-info")
    shutil.copytree(ROOT, made, ignore=ignored)
    return made


def follow(project: Path) -> list[str]:
    """Do every step; the files it named, in order."""
    steps = STEP.findall((ROOT / "CONTRIBUTING.md").read_text())
    for name, block in steps:
        path = project / name
        if name not in LISTS:
            path.parent.mkdir(parents=True, exist_ok=True)
            assert not path.exists(), name
            path.write_text(block)
            continue
        before = LISTS[name]
        if path.name == "__init__.py":
            block = f"{block}{before}"
            imported = "from integrations.sandbox.vendors.acme import Acme\n"
            path.write_text(
                path.read_text()
                .replace(before, block, 1)
                .replace("from integrations.sandbox", f"{imported}from integrations.sandbox", 1)
            )
        else:
            path.write_text(path.read_text().replace(before, f"{block}{before}", 1))
    return [name for name, _ in steps]


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=project, capture_output=True, text=True, timeout=300
    )


def test_a_provider_is_added_as_it_says(copy: Path) -> None:
    names = follow(copy)
    assert len(names) == 12
    done = run(copy, "-m", "pytest", "-p", "no:cacheprovider", "-k", "acme", *PARTS)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 90, done.stdout
    python = [name for name in names if name.endswith(".py") and name not in LISTS]
    neat = run(copy, "-m", "ruff", "check", *python)
    assert neat.returncode == 0, neat.stdout
    neat = run(copy, "-m", "ruff", "format", "--check", *python)
    assert neat.returncode == 0, neat.stdout


def test_a_forgotten_step_is_named(copy: Path) -> None:
    follow(copy)
    (copy / "integrations/providers/acme.md").unlink()
    done = run(copy, "-m", "pytest", "-p", "no:cacheprovider", "-k", "acme", PARTS[3])
    assert done.returncode == 1
    assert "integrations/providers/acme.md" in done.stdout
