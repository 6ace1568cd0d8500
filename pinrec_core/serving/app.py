"""The routes: POST /v1/retrieve and /v1/events, GET /healthz, /readyz, /metrics; /docs shows them with examples."""

# No `from __future__ import annotations`: FastAPI reads the signatures, and the requests' types are made per service.

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

import pinrec_core
from pinrec_core.serving import examples
from pinrec_core.serving.declined import Declined
from pinrec_core.serving.demo.routes import add_demo_routes
from pinrec_core.serving.messages import Answer, Stored, bounded
from pinrec_core.serving.routes import JsonRoute, declined_response, json_response, problems
from pinrec_core.serving.service import Service, deadline_of


def build_app(service: Service) -> FastAPI:
    """The application of one worker; the service runs as long as its lifespan."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(title="pinrec", version=pinrec_core.__version__, description=__doc__, lifespan=lifespan,
                  exception_handlers={HTTPException: _http_problem}, redoc_url=None)
    app.state.service = service
    app.router.route_class = JsonRoute
    _add_service_routes(app, service)
    _add_state_routes(app, service)
    if service.config.demo:
        add_demo_routes(app, service)
    return app


def _add_service_routes(app: FastAPI, service: Service) -> None:
    RetrieveRequest, EventsRequest = bounded(service.config)

    @app.post("/v1/retrieve", response_model=Answer, openapi_extra=examples.RETRIEVE,
              responses=examples.ANSWER | problems(400, 413, 422, 429, 500, 503, 504))
    async def retrieve(asked: RetrieveRequest, request: Request) -> Response:
        """Items for a user on a surface, by its live release."""
        deadline = deadline_of(request.headers.get("x-deadline-ms"), service.config)
        live = service.live(asked.surface)
        request.state.surface = live.surface
        return json_response(await service.retrieve(asked, live, deadline))

    @app.post("/v1/events", response_model=Stored, openapi_extra=examples.EVENTS,
              responses=problems(400, 413, 422, 500, 501, 503))
    async def events(told: EventsRequest, request: Request) -> Response:
        """What a user did just now: part of the history from the next request on."""
        return json_response(await service.keep(told))


def _add_state_routes(app: FastAPI, service: Service) -> None:

    @app.get("/healthz", responses=examples.HEALTH | problems(500, 503))
    async def healthz(request: Request) -> Response:
        """Whether the process works; if not, it should be started again."""
        for name, thread in (("inference", service.batcher), ("releases", service.releases)):
            if not thread.is_alive:
                raise Declined(503, f"the thread {name!r} has ended; start the process again")
        return json_response(b'{"healthy":true}')

    @app.get("/readyz", responses=examples.READY | problems(500))
    async def readyz(request: Request) -> Response:
        """Whether requests can be answered, by which releases, and what does not work."""
        ready, state = await service.readiness()
        return json_response(orjson.dumps(state), 200 if ready else 503)

    @app.get("/metrics", responses=examples.METRICS | problems(500), response_class=Response)
    async def metrics(request: Request) -> Response:
        """Counters of all workers, for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _http_problem(_: Request, error: HTTPException) -> Response:
    """No such route, no such method."""
    response = declined_response(Declined(error.status_code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response
