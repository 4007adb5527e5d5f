"""`GET /`: a page on which the endpoint is tried without code.

One document with its script and style inside, and nothing from elsewhere. What the page may do is fixed by a
Content-Security-Policy: run this script, use this style, ask this server.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usecases.contract import Contract

_HERE = Path(__file__).parent


def page(contract: Contract, version: int) -> tuple[bytes, dict[str, str]]:
    """The page of an endpoint that serves `version`, as HTML, and the headers that it needs.

    Its addresses are relative, so it works below any path.
    """
    style, script = ((_HERE / name).read_text() for name in ("page.css", "page.js"))
    about = {
        "name": contract.name,
        "version": version,
        "request": contract.request.model_json_schema(),
        # A response's fields don't depend on its value.
        "response": type(contract.respond(0.5)).model_json_schema(mode="serialization"),
        "example": dict(contract.example),
    }
    slots = {
        "title": html.escape(contract.title),
        "style": style,
        # In a script element only "<" can end it or begin a comment.
        "about": json.dumps(about).replace("<", "\\u003c"),
        "script": script,
    }
    template = (_HERE / "page.html").read_text()
    document = re.sub(r"{{(\w+)}}", lambda slot: slots[slot[1]], template)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return document.encode(), headers


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
