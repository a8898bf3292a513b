"""Published vectors this project did not write, read from the folder named by BIOBANK_VECTORS."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest


def vector_path(name: str) -> Path:
    """Return a file of the vector folder; skip the test, saying so, where no folder is named."""
    folder = os.environ.get("BIOBANK_VECTORS")
    if not folder:
        pytest.skip(f"BIOBANK_VECTORS is not set: NOT checked against the published vectors {name}")
    path = Path(folder) / name
    assert path.exists(), f"BIOBANK_VECTORS names a folder without {name}"
    return path


def vectors(name: str) -> Any:
    """Return a JSON file of the vector folder."""
    return json.loads(vector_path(name).read_text())


def decode(text: str | None) -> bytes:
    """Decode base64; absent is empty."""
    return base64.b64decode(text or "")
