"""A route whose body is read, limited and checked in one go, counted, and whose errors are one JSON object.

FastAPI's own way through a request costs as much again as all of serving; what it is for, dependencies and forms, is
not needed here. The signature of an endpoint still makes its part of the OpenAPI page.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from pinrec_core.serving.declined import Declined, Problem, invalid

log = logging.getLogger("pinrec")


class JsonRoute(APIRoute):
    """Endpoints take the checked body, if any, and the request, and return a response or raise Declined.

    `request.app.state.service` gives limits and counters. An endpoint names the surface it answers for in
    `request.state.surface`, so that it is counted.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        """What runs instead of FastAPI's dependency injection."""
        endpoint, path = self.endpoint, self.path
        model = self.body_field.field_info.annotation if self.body_field else None

        async def handle(request: Request) -> Response:
            start, service = time.perf_counter(), request.app.state.service
            try:
                body = [_checked(await _read(request, service.config.max_body_bytes), model)] if model else []
                response = await endpoint(*body, request)
            except Declined as declined:
                response = declined_response(declined)
            except Exception:  # noqa: BLE001 - one request's; the log has what the client need not know
                log.exception("serve: %s failed", path)
                response = declined_response(Declined(500, "the service failed; its log says why"))
            service.metrics.answered(path, getattr(request.state, "surface", ""), response.status_code,
                                     time.perf_counter() - start)
            return response

        return handle


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response of ready JSON."""
    return Response(body, status, headers, "application/json")


def declined_response(declined: Declined) -> Response:
    """Why there is no answer."""
    headers = {"Retry-After": str(declined.retry_after_s)} if declined.retry_after_s else None
    return json_response(orjson.dumps(declined.problem.model_dump(exclude_none=True)), declined.status, headers)


def problems(*statuses: int) -> dict[int | str, dict]:
    """Answers of these statuses for the OpenAPI page."""
    return {status: {"model": Problem, "description": _MEANING[status][0],
                     "content": {"application/json": {"example": _MEANING[status][1]}}} for status in statuses}


_MEANING = {
    400: ("The body is not JSON.", {"error": "the body is not JSON: expected value at line 1 column 1"}),
    413: ("The body is too large.", {"error": "the body is larger than 1048576 bytes; send less"}),
    422: ("A field has the wrong type, is out of range, or names something unknown.",
          {"error": "outcome 'clik' is unknown", "field": "outcomes.clik",
           "hint": "did you mean 'click'? There are click, save"}),
    429: ("Too many requests wait already.", {"error": "128 requests wait already; ask again later"}),
    500: ("The service failed.", {"error": "the service failed; its log says why"}),
    501: ("Several workers, and no store that they could share.",
          {"error": "there is no event store", "hint": "set serve.store to a Redis URL, or run one worker"}),
    503: ("Nothing that could answer is there.", {"error": "no release is live yet"}),
    504: ("Not answered before the deadline.",
          {"error": "not answered before its deadline; ask again, or allow more time"}),
}


async def _read(request: Request, limit: int) -> bytes:
    """The body. Raises Declined as soon as it is clear that it is too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except ClientDisconnect:
        raise Declined(400, "the body ended early") from None
    return bytes(body)


def _too_large(limit: int) -> Declined:
    return Declined(413, f"the body is larger than {limit} bytes; send less")


def _checked(body: bytes, model: type[BaseModel]) -> BaseModel:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error, model) from None
