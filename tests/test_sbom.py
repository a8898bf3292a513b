"""sbom.cdx.json against the lock files, the schema of CycloneDX and what each installed package says of its licence.

The schema is the one that the cyclonedx-python-lib package carries; package URLs are read by packageurl-python.
"""

import json
import re
import tomllib
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packageurl import PackageURL
from referencing import Registry, Resource

from tools import sbom

ROOT = Path(__file__).resolve().parent.parent
BOM: dict[str, Any] = json.loads((ROOT / "sbom.cdx.json").read_text())
LICENCES: dict[str, Any] = tomllib.loads((ROOT / "tools" / "licences.toml").read_text())

Named = dict[tuple[str, str], set[str]]
"""Name and version → hashes."""


def named_by(lock: str) -> Named:
    """Read a lock file line by line: another way than the program's."""
    found: Named = {}
    here: tuple[str, str] | None = None
    for line in (ROOT / lock).read_text().splitlines():
        if pin := re.match(r"([a-z0-9.-]+)(?:\[[^\]]*\])?==([^\s;]+)", line):
            here = (pin[1], pin[2])
            found[here] = set()
        elif here and "--hash=sha256:" in line:
            found[here].add(line.split("sha256:")[1].split()[0])
    return found


def test_the_bill_of_materials_names_exactly_the_packages_of_the_locks_with_versions_and_hashes() -> None:
    listed: Named = {(c["name"], c["version"]): {h["content"] for h in c["hashes"]} for c in BOM["components"]}
    runtime = {(c["name"], c["version"]) for c in BOM["components"] if c["scope"] == "required"}

    assert listed == named_by("requirements-dev.lock")
    assert runtime == set(named_by("requirements.lock"))
    assert all(hashes for hashes in listed.values())
    assert len(BOM["components"]) == len(listed)


def test_the_bill_of_materials_is_what_the_program_writes() -> None:
    assert (ROOT / "sbom.cdx.json").read_text() == sbom.text(), "Run: python tools/sbom.py"


def test_the_bill_of_materials_fits_the_schema_of_cyclonedx() -> None:
    folder = resources.files("cyclonedx.schema").joinpath("_res")

    def schema(name: str) -> Any:
        return json.loads(folder.joinpath(f"{name}.SNAPSHOT.schema.json").read_text())

    beside = {f"http://cyclonedx.org/schema/{n}.SNAPSHOT.schema.json": schema(n) for n in ("spdx", "jsf-0.82")}
    registry: Registry[Any] = Registry().with_resources([(i, Resource.from_contents(s)) for i, s in beside.items()])
    judge = jsonschema.Draft7Validator(schema("bom-1.6"), registry=registry)

    judge.validate(BOM)
    with pytest.raises(jsonschema.ValidationError):
        judge.validate(BOM | {"components": [{"type": "library"}]})


def test_every_package_url_is_read_back_as_its_package() -> None:
    for c in BOM["components"]:
        url = PackageURL.from_string(c["purl"])
        assert (url.type, url.name, url.version) == ("pypi", c["name"], c["version"])


def test_what_the_bank_asks_for_itself_is_named_as_its_own_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (root,) = BOM["dependencies"]
    names = {PackageURL.from_string(url).name for url in root["dependsOn"]}

    assert names == {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!;~ ]", line)[0]).lower() for line in project["dependencies"]}


def test_every_licence_is_permissive_or_has_a_reason() -> None:
    assert sbom.licence_faults() == []
    assert all(len(reason) > 20 for reason in LICENCES["exceptions"].values())
    copyleft = {"GPL-2.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "LGPL-3.0-only", "MPL-2.0"}
    assert not copyleft & set(LICENCES["allowed"])


def test_a_licence_that_binds_us_is_refused() -> None:
    allowed = {"MIT", "Apache-2.0"}

    assert sbom.refused("MIT", allowed) == set()
    assert sbom.refused("GPL-3.0-only", allowed) == {"GPL-3.0-only"}
    assert sbom.refused("GPL-3.0-only OR MIT", allowed) == set()
    assert sbom.refused("GPL-3.0-only AND MIT", allowed) == {"GPL-3.0-only"}
    assert sbom.refused("MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)", allowed) == {"MPL-2.0"}


def test_a_package_without_a_line_stops_the_bill_of_materials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements-dev.lock"
    digest = "0" * 64
    lock.write_text(f"{(ROOT / 'requirements-dev.lock').read_text()}unknown-thing==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setitem(sbom.LOCKS, "excluded", lock)

    with pytest.raises(SystemExit, match="unknown-thing has no line"):
        sbom.text()


FAMILIES = {
    "MIT License": "MIT",
    "BSD License": "BSD",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License (ISCL)": "ISC",
}
"""What a package's classifier means in SPDX."""


def test_the_table_says_of_every_installed_package_what_the_package_says_of_itself() -> None:
    seen = 0
    for name, licence in LICENCES["packages"].items():
        try:
            said = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform
        seen += 1
        if "License-Expression" in said:
            assert licence == said["License-Expression"], name
            continue
        classes = [c.rpartition(" :: ")[2] for c in said.get_all("Classifier") or [] if c.startswith("License :: ")]
        for family in (FAMILIES[c] for c in classes if c in FAMILIES):
            assert family in licence, name
    assert seen > 100
