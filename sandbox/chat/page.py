"""Serves the chat page, one self-contained file, under a policy that lets nothing else into it."""

import base64
import re
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def add_page(app: web.Application) -> None:
    """Put the chat page at ``/``."""
    page = files("sandbox.chat").joinpath("page.html").read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": policy_of(page),
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers=headers)

    app.router.add_get("/", show)


def policy_of(page: str) -> str:
    """Return a Content-Security-Policy under which only the page's own script and style run."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(hashes['script'])}",
            f"style-src {' '.join(hashes['style'])}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
