"""Where files that are no Python lie: in a checkout at its top, in an installation inside the package."""

from importlib import resources
from pathlib import Path


def carried(folder: str, *, in_checkout: str | None = None) -> Path | None:
    """Return a folder that travels with the package, or None where the installation is not whole.

    The installed copy comes first: in site-packages a neighbour of the same name could be anyone's. In a checkout it is
    `in_checkout`, from the top, or the same name.
    """
    package = Path(str(resources.files("biobank")))
    installed, source = package / "_bundled" / folder, package.parent / (in_checkout or folder)
    if installed.is_dir():
        return installed
    return source if source.is_dir() and (package.parent / "pyproject.toml").is_file() else None
