"""Migrations that were released are never rewritten: alembic/released.toml holds them, by the hash of each file.

A bank somewhere has run them, so a change of one would reach new banks only. Run `python -m tools.released_migrations` when a
release stands in CHANGELOG.md (`## [0.1.0] - 2026-12-24`): it adds what that release brought. A test and
`tools/regenerate_initial.py` ask `faults`.
"""

import re
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = ROOT / "CHANGELOG.md"
RELEASED = ROOT / "alembic" / "released.toml"
_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\]", re.M)


def releases(changelog: str) -> list[str]:
    """Return the versions that the text notes as released, the oldest first."""
    return _HEADING.findall(changelog)[::-1]


def migrations() -> dict[str, str]:
    """Return the SHA-256 of every migration of both databases, by its path below alembic/."""
    files = sorted([*ROOT.glob("alembic/versions/*.py"), *ROOT.glob("alembic/keys_versions/*.py")])
    return {path.relative_to(ROOT / "alembic").as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def held() -> dict[str, dict[str, str]]:
    """Return the hashes by release and path."""
    return tomllib.loads(RELEASED.read_text())


def faults(changelog: str, of_releases: Mapping[str, Mapping[str, str]], there: Mapping[str, str]) -> list[str]:
    """Return what is wrong, a sentence each: a release that holds nothing, a migration that was changed or is gone."""
    noted = releases(changelog)
    wrong = [
        f"{version} is noted as released: run `python -m tools.released_migrations`"
        for version in noted
        if version not in of_releases
    ]
    wrong += [f"{version} holds migrations and is not in CHANGELOG.md" for version in of_releases if version not in noted]
    for version, files in of_releases.items():
        wrong += [f"{path} was released with {version} and is changed" for path in files if there.get(path) != files[path]]
    return wrong


def text_of(of_releases: Mapping[str, Mapping[str, str]]) -> str:
    """Return the file with these releases."""
    text = RELEASED.read_text().partition("\n[")[0].rstrip() + "\n"
    for version, files in of_releases.items():
        text += f'\n["{version}"]\n' + "".join(f'"{path}" = "{digest}"\n' for path, digest in files.items())
    return text


def with_newest(
    changelog: str, of_releases: Mapping[str, Mapping[str, str]], there: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return the releases and, for the newest noted one, every migration that none before it holds."""
    made = {version: dict(files) for version, files in of_releases.items()}
    before = {path for files in made.values() for path in files}
    for version in releases(changelog)[-1:]:
        made.setdefault(version, {path: digest for path, digest in there.items() if path not in before})
    return made


if __name__ == "__main__":
    RELEASED.write_text(text_of(with_newest(CHANGELOG.read_text(), held(), migrations())))
