"""The formats of the custody log, one module each: whatever module here names a `FORMAT` is offered everywhere.

Not here: which events are written (`selection`) and the events of the log about an export (`service`).
"""

import importlib
import pkgutil

from biobank.exports.formats.format import Format

FORMATS: dict[str, Format] = {}
for _found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
    _format = getattr(importlib.import_module(f"{__name__}.{_found.name}"), "FORMAT", None)
    if _format is not None:
        assert _format.name not in FORMATS, f"two formats are called {_format.name}"
        FORMATS[_format.name] = _format
