"""The application: routes, errors and the page, put together."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from os import PathLike, stat_result
from pathlib import Path

import anyio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from kpl.errors import KplError, UnknownNameError
from kpl.server.api import router, unguarded
from kpl.server.clients import Networks
from kpl.server.document import ABOUT, TAGS
from kpl.server.findings import router as findings
from kpl.server.guard import Guard, Metrics
from kpl.server.refusals import Busy, Refused, said_to_strangers
from kpl.server.reviewing import router as reviewing
from kpl.server.scores import router as scores
from kpl.server.service import Service

_PAGE = Path(__file__).parent / "page"
_SWEEP_SECONDS = 60
_log = logging.getLogger("kpl.server")


def create_app(
    service: Service,
    *,
    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "::1"}),
    token: str | None = None,
    root: str = "",
    proxies: Networks = (),
) -> FastAPI:
    """Return the ASGI application of a service; it closes the service when it stops.

    Args:
        service: does the work.
        hosts: names by which the server may be called.
        token: asked for on every route that touches data; None asks for none.
        root: path under which a proxy serves it, such as "/kpl"; empty for none.
        proxies: whose word is taken for whom they ask.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_sweep, service)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(service.close)

    app = FastAPI(
        title="KPL",
        version=version("knowledge-proxy-learning"),
        description=ABOUT,
        openapi_tags=TAGS,
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to an address that may not be the one by which the service is known
        lifespan=life,
        middleware=[
            Middleware(
                Guard, limits=service.limits, hosts=hosts, token=token, metrics=metrics, root=root, proxies=proxies
            ),
        ],
    )
    app.state.service, app.state.metrics = service, metrics
    app.include_router(unguarded)
    app.include_router(router)
    app.include_router(findings)
    app.include_router(scores)
    app.include_router(reviewing)
    app.add_exception_handler(KplError, _refuse)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/static", _Parts(directory=_PAGE), name="static")
    return app


class _Parts(StaticFiles):
    """The page's files: a browser keeps them, and asks each time whether they are still those."""

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Say so in the answer."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["cache-control"] = "no-cache"
        return answer


async def _sweep(service: Service) -> None:
    while True:
        await anyio.sleep(_SWEEP_SECONDS)
        await anyio.to_thread.run_sync(service.sessions.sweep)


async def _page() -> FileResponse:
    return FileResponse(_PAGE / "index.html", headers={"cache-control": "no-cache"})


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    status = error.status if isinstance(error, Refused) else 404 if isinstance(error, UnknownNameError) else 422
    headers = {"retry-after": str(Busy.RETRY_SECONDS)} if status == Busy.status else None
    return JSONResponse({"detail": said_to_strangers(error)}, status, headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Say in one sentence what is wrong with a request, without repeating what was sent."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) and error.errors() else {}
    where = " > ".join(str(part) for part in first.get("loc", ()))
    status = 400 if first.get("type") == "json_invalid" else 422
    return JSONResponse({"detail": f"{where}: {first.get('msg', 'the request cannot be read')}"}, status)
