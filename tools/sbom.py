"""Write sbom.cdx.json: every package of the lock files, with version, hashes and licence, as CycloneDX 1.6.

python tools/sbom.py          write it (`make lock` does)
python tools/sbom.py --check  say whether it is what the lock files say and every licence may be used (`make check` does)

Standard library only, and the same bytes from the same locks: no time, no number that is drawn. A package of
requirements.lock is `required`; what only requirements-dev.lock has (tests, tools) is `excluded`, which in CycloneDX means that
it is no part of the running thing. Hashes are those of every file published for a version, of which one is installed.
"""

import json
import re
import sys
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BOM = ROOT / "sbom.cdx.json"
LOCKS = {"required": ROOT / "requirements.lock", "excluded": ROOT / "requirements-dev.lock"}
LICENCES = ROOT / "tools" / "licences.toml"

_BLOCK = re.compile(r"^([a-z0-9.-]+)(?:\[\S+\])?==(\S+)(?: ; (.+?))? \\\n((?:    --hash=.*\n?)+)", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package of a lock file."""

    name: str
    version: str
    marker: str
    """When it is installed, in the words of the lock; empty: always."""
    hashes: tuple[str, ...]
    """SHA-256 of every published file, in hex."""

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def packages(lock: str) -> list[Package]:
    """Return what the text of a lock file names."""
    return [
        Package(name, version, marker, tuple(re.findall(r"sha256:([0-9a-f]{64})", hashes)))
        for name, version, marker, hashes in _BLOCK.findall(lock)
    ]


def refused(expression: str, allowed: set[str]) -> set[str]:
    """Return the licences of an SPDX expression that bind us and are not allowed.

    Of `A OR B` one that is allowed is enough; of `A AND B` each binds. Parentheses may stand around an OR only.
    """
    found: set[str] = set()
    for part in expression.split(" AND "):
        choices = set(part.strip("()").split(" OR "))
        if not choices & allowed:
            found |= choices
    return found


def licence_faults() -> list[str]:
    """Return a sentence for each package whose licence is unknown or may not be used, and for each line that is of no use."""
    table = tomllib.loads(LICENCES.read_text())
    known, exceptions, allowed = table["packages"], table["exceptions"], set(table["allowed"])
    names = {p.name for lock in LOCKS.values() for p in packages(lock.read_text())}
    faults = [f"{name} has no line in {LICENCES.name}: read its licence and write it." for name in sorted(names - set(known))]
    for name in sorted(names & set(known)):
        bad = refused(known[name], allowed)
        if bad and name not in exceptions:
            faults.append(f"{name} is under {', '.join(sorted(bad))}, which is not permissive.")
        if name in exceptions and not bad:
            faults.append(f"{name} needs no exception.")
    return faults + [f"{name} is in no lock file." for name in sorted((set(known) | set(exceptions)) - names)]


def document() -> dict[str, Any]:
    """Return the bill of materials. Raises SystemExit with sentences when a licence may not be used."""
    if faults := licence_faults():
        sys.exit("\n".join(faults))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    licences = tomllib.loads(LICENCES.read_text())["packages"]
    found: dict[str, tuple[str, Package]] = {}
    for scope, lock in LOCKS.items():
        for package in packages(lock.read_text()):
            found.setdefault(package.purl, (scope, package))
    locks = "".join(lock.read_text() for lock in LOCKS.values())
    root = f"pkg:pypi/{project['name']}@{project['version']}"
    direct = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!;~ ]", line)[0]).lower() for line in project["dependencies"]}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, root + locks)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": project["name"],
                "version": project["version"],
                "purl": root,
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [component(p, scope, licences[p.name]) for _, (scope, p) in sorted(found.items())],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(purl for purl, (_, p) in found.items() if p.name in direct)},
        ],
    }


def component(package: Package, scope: str, licence: str) -> dict[str, Any]:
    """Return one package as a component."""
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "scope": scope,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in package.hashes],
        "licenses": [{"expression": licence}],
        "purl": package.purl,
    }
    return made | ({"properties": [{"name": "biobank:marker", "value": package.marker}]} if package.marker else {})


def text() -> str:
    """Return the file: one component a line, so that a change of the lock is a change of few lines."""
    whole = document()
    lines = ",\n".join(json.dumps(c, ensure_ascii=True) for c in whole["components"])
    head = json.dumps(whole | {"components": []}, indent=1)
    return head.replace('"components": []', f'"components": [\n{lines}\n ]') + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the file; return an exit code."""
    if "--check" not in arguments:
        BOM.write_text(text())
    elif not BOM.exists() or BOM.read_text() != text():
        print(f"{BOM.name} is not what the lock files say. Run: python tools/sbom.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
