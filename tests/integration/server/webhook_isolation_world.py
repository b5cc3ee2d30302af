"""Two tenants with one of everything that the webhook API can name, and what each route wants to be asked."""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rowcast.server.keys import find_key
from rowcast.server.webhook_api_routes import webhook_api_routes
from rowcast.webhooks.ids import attempt_id, event_id_of
from tests.integration.server.running import Running

URL = "https://hooks.example.com/in"
MESSAGE = {"eventType": "order.paid", "payload": {"mark": "of nobody"}}
SINCE = {"since": "2026-01-01T00:00:00Z"}

Place = tuple[str, str]
"""A method, and a path with its parameters in braces."""

# What a route is sent, so that it is the name in the path that is refused. A route that is not here has no entry.
BODIES: dict[Place, Any] = {
    ("POST", "/app/{app_id}/endpoint"): {"url": URL},
    ("PUT", "/app/{app_id}/endpoint/{endpoint_id}"): {"url": URL, "description": "taken over"},
    ("PATCH", "/app/{app_id}/endpoint/{endpoint_id}"): {"description": "taken over"},
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/secret/rotate"): {},
    ("PUT", "/app/{app_id}/endpoint/{endpoint_id}/headers"): {"headers": {"x-mine": "taken over"}},
    ("PATCH", "/app/{app_id}/endpoint/{endpoint_id}/headers"): {"headers": {"x-mine": "taken over"}},
    ("PUT", "/app/{app_id}/endpoint/{endpoint_id}/authentication"): {"type": "basic", "username": "taken over"},
    ("PATCH", "/app/{app_id}/endpoint/{endpoint_id}/transformation"): {"variables": {"a": "taken over"}},
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/transformation/simulate"): {"eventType": "a.b", "code": "{}"},
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/send-example"): {"eventType": "order.paid"},
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/recover"): SINCE,
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/replay-missing"): SINCE,
    ("POST", "/app/{app_id}/endpoint/{endpoint_id}/bulk-replay"): SINCE,
    ("POST", "/app/{app_id}/poller/{sink_id}/consumer/{consumer_id}/seek"): {"after": "2026-01-01T00:00:00Z"},
    ("POST", "/app/{app_id}/msg"): MESSAGE,
    ("POST", "/app/{app_id}/msg/{message_id}/endpoint/{endpoint_id}/resend"): {},
    ("POST", "/app/{app_id}/msg/bulk-expunge"): {"messageIds": []},
    ("POST", "/app/{app_id}/msg/expunge-all-contents"): {},
    ("POST", "/app/{app_id}/msg/precheck/active"): {"eventType": "order.paid"},
    ("PUT", "/app/{app_id}"): {"name": "taken over"},
    ("PATCH", "/app/{app_id}"): {"name": "taken over"},
    ("POST", "/auth/app-portal-access/{app_id}"): {},
    ("POST", "/auth/app/{app_id}/expire-all"): {},
}

# These name nothing of a tenant's: what is shared by all, what is answered to everybody alike, and the caller's own key.
NAMELESS = frozenset(
    {
        ("POST", "/app"), ("GET", "/event-type"), ("POST", "/event-type"), ("GET", "/event-type/export"),
        *((method, "/event-type/{name}") for method in ("GET", "PUT", "PATCH", "DELETE")),
        ("GET", "/health"), ("POST", "/auth/portal-key"), ("POST", "/auth/logout"),
    }
)  # fmt: skip

KEYLESS = frozenset({("GET", "/health"), ("POST", "/auth/portal-key"), ("POST", "/auth/logout")})
"""No key at all, or any."""
_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "webhook-api.md"
_ROW = re.compile(r"^\| (?P<method>[A-Z]+) \| `/api/v1(?P<path>[^`]*)` \| `(?P<scope>[a-z_]+:[a-z]+)` \|", re.MULTILINE)


@dataclass
class Ids:
    """One tenant's names for everything: by parameter of a path, each with its other names."""

    tenant: str
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    messages: tuple[str, ...] = ()

    def path(self, template: str, own: Mapping[str, str], *, other: int = 0) -> str:
        """Fill a path with these names (`other`: which of several), but with `own` where that has one."""
        filled = template
        for name, values in self.names.items():
            filled = filled.replace(f"{{{name}}}", own.get(name) or values[other % len(values)])
        assert "{" not in filled, (
            f"{template} has a parameter that the isolation test cannot fill; give Ids a name for it"
        )
        return f"/api/v1{filled}"


def random_ids() -> Ids:
    """Give names that nobody has, shaped as those of `made_tenant`."""

    def word(prefix: str = "") -> str:
        return prefix + "".join(secrets.choice("abcdefghijkmnpqr0123456789") for _ in range(27 if prefix else 8))

    return Ids(word(), names_of(word("app_"), word(), word("ep_"), word(), "msg_0" + word()[:3] * 8 + "ab", word()))


def names_of(app: str, uid: str, endpoint: str, endpoint_uid: str, message: str, message_uid: str) -> dict[str, Any]:
    """Give the names by parameter; attempts and tasks of nobody until they are set."""
    number = secrets.randbelow(2**40)
    endpoints = (endpoint, endpoint_uid)
    return {
        "app_id": (app, uid), "endpoint_id": endpoints, "sink_id": endpoints, "message_id": (message, message_uid),
        "attempt_id": (attempt_id(number, number),), "task_id": ("qtask_" + app.removeprefix("app_"),),
        "consumer_id": ("reader",),
    }  # fmt: skip


async def made_tenant(api: Running, headers: dict[str, str], word: str) -> Ids:
    """Make a tenant with an endpoint, a message that was delivered there, and a task that ran."""
    app = await _made(api, headers, "/app", {"name": f"Mark {word}", "uid": word})
    place = f"/app/{app['id']}"
    endpoint = await _made(api, headers, f"{place}/endpoint", {"url": f"{URL}/{word}", "uid": f"{word}-crm"})
    message = await _made(api, headers, f"{place}/msg", {**MESSAGE, "eventId": f"{word}-1", "payload": {"mark": word}})
    task = await _made(api, headers, f"{place}/endpoint/{endpoint['id']}/recover", SINCE)
    ids = Ids(word, names_of(app["id"], word, endpoint["id"], f"{word}-crm", message["id"], f"{word}-1"))
    ids.names["attempt_id"] = (await _attempted(api, word, endpoint["id"], message["id"]),)
    ids.names["task_id"] = (task["id"],)
    return ids


def routes_of(api: Running) -> Iterator[Place]:
    """Give every route of the webhook API from the application's own table; hosted ones, answered 501, excepted."""
    for router in webhook_api_routes(api.app, find_key=partial(find_key, api.app.database)):
        for route in router.routes:
            path = route.path.replace(":str}", "}").replace(":path}", "}").removeprefix("/api/v1")
            for handler in route.route_handlers:  # type: ignore[attr-defined]
                if handler.fn.__name__ != "refuse_hosted" and handler.fn.__module__.startswith("rowcast."):
                    yield from ((method, path.rstrip("/") or "/") for method in sorted(handler.http_methods))


def documented_scopes() -> dict[Place, str]:
    """Give the scope that the page says, by route."""
    return {(row["method"], row["path"]): row["scope"] for row in _ROW.finditer(_PAGE.read_text())}


async def everything(api: Running, tenant: str) -> dict[str, list[str]]:
    """Give all that the database holds of a tenant."""
    driver_rows: dict[str, list[str]] = {}
    async with api.app.database.connection() as connection:
        tables = await connection.driver.fetch(
            "select format('%I.%I', table_schema, table_name) as name from information_schema.columns "
            "where table_schema = 'rowcast' and column_name = 'tenant_id' and table_name <> 'idempotent_answer' order by 1"
        )
        for table in tables:
            rows = await connection.driver.fetch(
                f"select t::text as row from {table['name']} t where tenant_id = $1", tenant
            )
            driver_rows[table["name"]] = sorted(row["row"] for row in rows)
    return driver_rows


async def _made(api: Running, headers: dict[str, str], path: str, body: Any) -> dict[str, Any]:
    reply = await api.client.post(f"/api/v1{path}", headers=headers, json=body)
    assert reply.is_success, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def _attempted(api: Running, tenant: str, endpoint: str, message: str) -> str:
    """Write what a delivery of a message and its one attempt leave, and give the attempt's id."""
    async with api.app.database.connection() as connection:
        row = await connection.driver.fetchrow(
            "with made as (insert into rowcast.delivery (event_id, tenant_id, sink, target, key, status, attempt, fence, "
            "max_attempts, settled_at) values ($1, $2, 'webhooks', $3, $3, 'delivered', 1, 1, 0, clock_timestamp()) "
            "returning id, fence, tenant_id) insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, "
            "code, excerpt, started_at, latency_ms) select id, fence, tenant_id, 1, 'delivered', '200', $2, "
            "clock_timestamp(), 1 from made returning delivery_id, fence",
            event_id_of(message), tenant, endpoint,
        )  # fmt: skip
    return attempt_id(row["delivery_id"], row["fence"])
