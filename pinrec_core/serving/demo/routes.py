"""The routes of the demonstration: the page and its files at /demo, and the lists it asks for below it.

What is retrieved the page asks of POST /v1/retrieve, as any client does.
"""

# No `from __future__ import annotations`: FastAPI reads the signatures.

import asyncio
from pathlib import Path

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from pinrec_core.serving.declined import Declined
from pinrec_core.serving.demo import lists
from pinrec_core.serving.demo.asked import HistoryAsked, ItemsAsked, UsersAsked, asked
from pinrec_core.serving.routes import json_response
from pinrec_core.serving.service import Service

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {  # the page needs nothing but this server, and nobody else may put it into a frame
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}


def add_demo_routes(app: FastAPI, service: Service) -> None:
    """Add them to a worker's application."""
    _add_files(app)
    _add_lists(app, service)


def _add_files(app: FastAPI) -> None:
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in _TYPES}

    @app.get("/demo", include_in_schema=False)
    async def redirected(request: Request) -> Response:
        """Relative addresses of the page are below /demo/."""
        return RedirectResponse("demo/" + (f"?{request.url.query}" if request.url.query else ""))

    @app.get("/demo/{name}", include_in_schema=False)
    async def file(request: Request) -> Response:
        """A file of the page."""
        name = request.path_params["name"]
        if name not in files:
            raise Declined(404, "Not Found")
        return Response(files[name], headers=_HEADERS, media_type=_TYPES[Path(name).suffix])

    @app.get("/demo/", include_in_schema=False)
    async def page(request: Request) -> Response:
        """The page."""
        return Response(files["index.html"], headers=_HEADERS, media_type=_TYPES[".html"])


def _add_lists(app: FastAPI, service: Service) -> None:

    @app.get("/demo/lists/surfaces", include_in_schema=False)
    async def surfaces(request: Request) -> Response:
        """Every surface that is answered."""
        live = service.releases.live
        if not live:
            raise Declined(503, "no release is live yet; /readyz says why", retry_after_s=1)
        return json_response(orjson.dumps({"max_n": service.config.max_n, "surfaces": [
            lists.surface_of(live[surface]) for surface in sorted(live)]}))

    @app.get("/demo/lists/users", include_in_schema=False)
    async def users(request: Request) -> Response:
        """Some users, of many."""
        query = asked(request, UsersAsked)
        return json_response(orjson.dumps(lists.users_of(service.live(query.surface), query)))

    @app.get("/demo/lists/history", include_in_schema=False)
    async def history(request: Request) -> Response:
        """What a user did."""
        query = asked(request, HistoryAsked)
        return json_response(orjson.dumps(lists.history_of(service.live(query.surface), query)))

    @app.get("/demo/lists/items", include_in_schema=False)
    async def items(request: Request) -> Response:
        """Items to be a close-up or a query; looked for beside the loop, because all titles are read."""
        query = asked(request, ItemsAsked)
        found = await asyncio.to_thread(lists.items_of, service.live(query.surface), query)
        return json_response(orjson.dumps(found))
