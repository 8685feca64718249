"""The web page: files that `make web` built from `web/`, compressed beforehand, with the headers that keep it safe."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from visionloop.serving.custom_vision import ROUTE as CUSTOM_VISION
from visionloop.serving.problems import Problem, problem_response
from visionloop.serving.rare import LABEL_STUDIO

STATIC = Path(__file__).parent / "static"
"""Where the build lies; git ignores it, the wheel and the bento carry it."""

VIEWS = ("/", "/live", "/many", "/label", "/watch", "/models")
"""Addresses of the page: the browser shows another panel for each, the file is the same."""

ASSETS = "/assets/"
"""Files whose names contain their hash."""

_NO_PAGES = frozenset({"v1", "metrics", "livez", "readyz", "healthz", "openapi.json", "assets"}) | {
    route.split("/")[1] for route in (CUSTOM_VISION, LABEL_STUDIO)
}
"""First parts of addresses below which the service answers programs: whatever is asked for there is no page."""

# `'self'` covers this service's web sockets too (CSP level 3). Blobs are the visitor's own pictures and videos.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
_HTML_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""Content codings made at build time, best first, with the suffix of their files."""

_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>visionloop</title>
<h1>The service runs; its page is not built</h1>
<p>The API answers as always: see <a href="/openapi.json">/openapi.json</a>.</p>
<p>To build the page, run <code>make web</code> in the project's folder (once it fetches its packages from the npm
registry), then start the service again.</p>
</html>
"""


@dataclass(frozen=True)
class _File:
    """A file with its encodings: bytes by content coding, "" for the file as it is."""

    media_type: str
    bodies: Mapping[str, bytes]
    tag: str


class Page:
    """The built page, held in memory: about a megabyte.

    Args:
        folder: A build; where there is none, every view says how to make one.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {f"/{path.relative_to(folder).as_posix()}": _read(path) for path in _sources(folder)}
        self._index = self._files.pop("/index.html", None)

    def routes(self) -> list[BaseRoute]:
        """Routes of the views and of their files."""
        views = [Route(view, self._view, methods=["GET"]) for view in VIEWS]
        return [*views, Route(ASSETS + "{name:path}", self._asset, methods=["GET"])]

    def unknown(self, request: Request) -> Response | None:
        """The page, which says that there is no such address, for a browser that went to one; None for others.

        It is the same page as everywhere, and nothing is looked up for it: whoever may not see anything may see it.
        """
        path: str = request.scope["path"]
        wants_page = request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")
        if self._index is None or not wants_page or is_page(path) or _first_part(path) in _NO_PAGES:
            return None
        return _answer(request, self._index, _HTML_HEADERS, status=404)

    async def _view(self, request: Request) -> Response:
        if self._index is None:
            return HTMLResponse(_NOT_BUILT, headers=_HTML_HEADERS)
        return _answer(request, self._index, _HTML_HEADERS)

    async def _asset(self, request: Request) -> Response:
        found = self._files.get(request.url.path)
        if found is None:
            return problem_response(_no_such_file(request.url.path))
        return _answer(request, found, {"Cache-Control": "public, max-age=31536000, immutable"})


def is_page(path: str) -> bool:
    """Whether a path belongs to the page, which anybody may load: it holds no data of the service."""
    # With a slash at its end it is led to the one without.
    return path in VIEWS or path.removesuffix("/") in VIEWS or path.startswith(ASSETS)


def _first_part(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


def _sources(folder: Path) -> list[Path]:
    made = tuple(_ENCODINGS.values())
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in made)


def _read(path: Path) -> _File:
    plain = path.read_bytes()
    bodies = {"": plain}
    for coding, suffix in _ENCODINGS.items():
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            bodies[coding] = packed.read_bytes()
    media_type = _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(media_type, bodies, hashlib.sha256(plain).hexdigest()[:20])


# What the machine's own list of types says is not to be relied on.
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


def _answer(request: Request, file: _File, headers: Mapping[str, str], *, status: int = 200) -> Response:
    coding = _coding(request.headers.get("accept-encoding", ""), file.bodies)
    tag = f'"{file.tag}{"-" + coding if coding else ""}"'
    sent = {**headers, "ETag": tag, "Vary": "Accept-Encoding"}
    if status == 200 and tag in _tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=sent)
    if coding:
        sent["Content-Encoding"] = coding
    return Response(file.bodies[coding], status, headers=sent, media_type=file.media_type)


def _coding(accepted: str, bodies: Mapping[str, bytes]) -> str:
    """The best coding there is that the header allows (RFC 9110, section 12.5.3); "" for none."""
    weights: dict[str, float] = {}
    for item in accepted.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weights[name] = _weight(parameters)
    for coding in _ENCODINGS:
        if coding in bodies and weights.get(coding, weights.get("*", 0.0)) > 0:
            return coding
    return ""


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _tags(header: str) -> set[str]:
    return {part.strip().removeprefix("W/") for part in header.split(",")}


def _no_such_file(path: str) -> Problem:
    return Problem(
        404,
        "no_such_route",
        f"the page has no file {path[:200]!r}",
        where="request line",
        expected="a file of the page that is served now",
        action="load the page again: it was built anew since",
    )
