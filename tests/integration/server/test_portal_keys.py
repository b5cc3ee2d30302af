"""What a key that came from a link into the portal opens, and what not."""

from typing import Any

from rowcast.observe.health import Health
from rowcast.observe.metrics import Metrics
from rowcast.server.keys import SCOPES
from rowcast.server.parts import api_routes
from rowcast.server.webhook_api_errors import is_webhook_api
from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import made_application

OPEN = ("/healthz", "/livez", "/readyz", "/metrics", "/in/")
NOBODY = "01900000-0000-7000-8000-000000000001"


async def test_a_key_of_the_portal_opens_the_webhook_api_and_nothing_else(api: Running) -> None:
    """With the same scopes a key of one's own is not refused: so it is the link that says how far a key goes."""
    everybody = await api.key()
    await made_application(api, everybody, uid="acme")
    link = await api.client.post("/api/v1/auth/app-portal-access/acme", headers=everybody)
    key = (await api.client.post("/api/v1/auth/portal-key", json={"token": link.json()["token"]})).json()
    portal = {"authorization": f"Bearer {key['key']}"}
    own = await api.key(*key["scopes"], tenant="acme")

    opened: list[tuple[str, str]] = []
    for method, path in guarded_routes(api):
        theirs = await api.client.request(method, path, headers=portal, json={})
        ours = await api.client.request(method, path, headers=own, json={})
        assert theirs.status_code == 403, (method, path, theirs.text)
        opened += [(method, path)] if ours.status_code != 403 else []

    assert ("POST", f"/api/v1/events/{NOBODY}/replay") in opened
    assert ("POST", "/api/v1/dead-letters/replay") in opened
    assert ("GET", "/api/v1/deliveries") in opened
    assert (await api.client.get("/api/v1/app/acme", headers=portal)).status_code == 200
    assert set(key["scopes"]) < set(SCOPES)


def guarded_routes(api: Running) -> list[tuple[str, str]]:
    """Give each route that asks for a key and is not of the webhook API."""
    found: list[tuple[str, str]] = []
    for router in api_routes(api.app, health=Health(clock=api.app.clock), metrics=Metrics()):
        for route in router.routes:
            handlers: Any = getattr(route, "route_handlers", ())
            path = route.path.replace("{event_id:uuid}", NOBODY).replace("{delivery_id:int}", "1")
            if is_webhook_api(path) or path.startswith(OPEN):
                continue
            path = path.replace("{endpoint_id:str}", "ep_x").replace("{source_id:str}", "src_x")
            found += [(method, path) for each in handlers for method in each.http_methods if each.guards]
    return sorted(set(found))
