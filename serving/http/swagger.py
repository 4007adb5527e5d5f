"""The Swagger page out of BentoML's own files: nothing is fetched from elsewhere."""

from __future__ import annotations

import html

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="UTF-8">
  <title>{title}</title>
  <link rel="stylesheet" href="static_content/swagger-ui.css">
</head>
<body>
  <div id="page"></div>
  <script src="static_content/swagger-ui-bundle.js"></script>
  <script>SwaggerUIBundle({{url: "docs.json", dom_id: "#page"}})</script>
</body>
</html>
"""


def swagger(title: str) -> bytes:
    """The page over `docs.json`."""
    return _PAGE.format(title=html.escape(title)).encode()
