"""HTTP: is it alive, is it ready, and its metrics."""

from collections.abc import Callable

from litestar import Response, Router, get

from rowcast.observe.health import Health, Readiness
from rowcast.server.described import Described

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def health_routes(*, health: Health, exposition: Callable[[], bytes]) -> Router:
    """Give /livez, /readyz and /metrics. They need no key and say nothing about tenants."""

    @get("/livez", tags=["health"], described=Described(is_whole=True))
    async def livez() -> dict[str, str]:
        """Answer as long as the process turns."""
        return {"status": "ok"}

    @get("/readyz", tags=["health"], described=Described(gives={200: Readiness, 503: Readiness}, is_whole=True))
    async def readyz() -> Response[Readiness]:
        """Say whether every component works; 503 when one does not, with its reason."""
        readiness = health.readiness()
        return Response(readiness, status_code=200 if readiness.is_ready else 503)

    @get(
        "/metrics",
        tags=["health"],
        media_type=_METRICS_TYPE,
        described=Described(given_as=(_METRICS_TYPE,), is_whole=True),
    )
    async def metrics() -> Response[bytes]:
        """Give the metrics in Prometheus' text form."""
        return Response(exposition(), media_type=_METRICS_TYPE)

    return Router("/", route_handlers=[livez, readyz, metrics])
