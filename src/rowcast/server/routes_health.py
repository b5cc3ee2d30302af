"""HTTP: is it alive, is it ready, and its metrics."""

from collections.abc import Callable

from litestar import Response, Router, get

from rowcast.observe.health import Health, Readiness


def health_routes(*, health: Health, exposition: Callable[[], bytes]) -> Router:
    """Give /livez, /readyz and /metrics. They need no key and say nothing about tenants."""

    @get("/livez", tags=["health"])
    async def livez() -> dict[str, str]:
        """Answer as long as the process turns."""
        return {"status": "ok"}

    @get("/readyz", tags=["health"])
    async def readyz() -> Response[Readiness]:
        """Say whether every component works; 503 when one does not, with its reason."""
        readiness = health.readiness()
        return Response(readiness, status_code=200 if readiness.is_ready else 503)

    @get("/metrics", tags=["health"], media_type="text/plain; version=0.0.4; charset=utf-8")
    async def metrics() -> Response[bytes]:
        """Give the metrics in Prometheus' text form."""
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Router("/", route_handlers=[livez, readyz, metrics])
