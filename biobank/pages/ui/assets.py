"""Static files under one address that changes whenever any of them changes.

A page links to `/static/<hash of the whole folder>/app.css`. The hash is part of the folder, not a query, so that an ES
module's relative `import "./codes.js"` resolves inside the same version: a browser can never mix two releases. A folder
whose hash is current may be kept for a year; any other answers the present file and must be revalidated, so that a page
opened before an upgrade still gets its style.

Files of text are sent packed to whoever takes them so. They are the same for everybody and hold no secret; pages hold a token and
what people typed, and are never packed: the size of a packed answer tells what stands in it.
"""

import gzip
import hashlib
import re
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from biobank.foundation.asgi import takes_packed

STATIC_PREFIX = "/static"
STATIC_DIR = Path(__file__).parent / "static"
SCAN_WORKER = "scan-worker.js"
"""May answer for the scan page and what lies under it, and for no other page."""

_PACKED = (".css", ".js", ".svg")
_VERSION = re.compile(r"^[0-9a-f]{16}$")


def folder_hash(folder: Path) -> str:
    """Return 16 hexadecimal digits over the names and bytes of every file in `folder`, in name order."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


class VersionedStatic(StaticFiles):
    """A folder of files; mount it at its `prefix`."""

    def __init__(self, folder: Path = STATIC_DIR, prefix: str = STATIC_PREFIX) -> None:
        super().__init__(directory=folder)
        self.prefix = prefix
        self.version = folder_hash(folder)
        self._packed: dict[str, bytes] = {}

    def url(self, name: str) -> str:
        """Return the address of the file `name` in the present version."""
        return f"{self.prefix}/{self.version}/{name}"

    def get_path(self, scope: Scope) -> str:
        """Drop the version segment, remembering whether it is the present one."""
        path = super().get_path(scope).replace("\\", "/")
        version, slash, rest = path.partition("/")
        if slash and _VERSION.match(version):
            scope["static_is_current"] = version == self.version
            return rest
        return path

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve the file with the caching its address has earned."""
        response = await super().get_response(path, scope)
        if path.endswith(_PACKED):
            response = self._pack(path, response, Headers(scope=scope))
        current: Any = scope.get("static_is_current", False)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if path == SCAN_WORKER:
            response.headers["Service-Worker-Allowed"] = "/scan"
        return response

    def _pack(self, path: str, response: Response, asked: Headers) -> Response:
        """Return a whole file packed for whoever takes it so, under the tag of the same file, which is then a weak one."""
        response.headers["Vary"] = "Accept-Encoding"
        if response.status_code != 200 or not takes_packed(asked) or "range" in asked:
            return response
        if path not in self._packed:
            file, _ = self.lookup_path(path)
            self._packed[path] = gzip.compress(Path(file).read_bytes(), mtime=0)
        headers = {name: value for name, value in response.headers.items() if name not in ("content-length", "accept-ranges")}
        headers["etag"] = f"W/{headers['etag']}"
        return Response(self._packed[path], headers=headers | {"content-encoding": "gzip"})


STATIC = VersionedStatic()
"""The one instance: `app.mount(STATIC_PREFIX, STATIC)`."""
