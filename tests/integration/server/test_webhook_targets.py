"""Targets of database webhooks, and the endpoints that they become."""

from pathlib import Path
from typing import Any

import pytest

from rowcast.capture.watch import Watch
from rowcast.core.errors import ConfigError, NotFoundError
from rowcast.server.command import Place
from rowcast.server.settings import Settings, load_settings
from rowcast.server.webhook_desk import webhook_desk
from rowcast.server.webhook_targets import Receiver, keep_receiver, own_name, receiver_of, webhook_targets

URL = "https://hooks.example.com/in"
STATUS = Watch(table="orders", columns=("id", "status"), tenant_id="database", events=("update",))


def settings(*targets: dict[str, Any]) -> Settings:
    return load_settings({"webhooks.target": targets}, environment={}).settings


def receiver(text: str, *targets: dict[str, Any], authorization: str = "") -> Receiver:
    return receiver_of(text, STATUS, settings=settings(*targets), authorization=authorization)


def test_a_url_becomes_an_endpoint_of_the_watchs_own() -> None:
    assert receiver(URL, authorization="Bearer x") == Receiver("watch.orders", URL, "Bearer x", "changes of orders")


@pytest.mark.parametrize(
    ("table", "name", "uid"),
    [
        ("orders", "", "watch.orders"), ('shop."Order Lines"', "", "watch.shop.order_lines"),
        ("shop.orders", "order_status", "watch.order_status"),
    ],
)  # fmt: skip
def test_each_watch_has_an_endpoint_of_its_own(table: str, name: str, uid: str) -> None:
    assert own_name(Watch(table=table, name=name, columns=("id",), tenant_id="database")) == uid


def test_a_name_is_a_target_of_the_settings_whose_secret_lies_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("Bearer from the file\n")
    target = {"name": "shop", "url": URL, "authorization_file": str(tmp_path / "secret")}

    assert receiver("shop", target) == Receiver("shop", URL, "Bearer from the file")
    assert receiver("shop", target, authorization="Bearer said").authorization == "Bearer said"
    assert receiver("ep_1", target) == Receiver("ep_1")
    assert "Bearer" not in repr(receiver("shop", target))


@pytest.mark.parametrize(
    "targets",
    [
        [{"name": "shop"}],
        [{"name": "shop", "url": URL, "authorization": "Bearer in the open"}],
        [{"name": "shop", "url": URL}, {"name": "shop", "url": URL}],
    ],
)
def test_a_target_that_cannot_be_used_is_refused_as_a_setting(targets: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as refusal:
        webhook_targets(settings(*targets))

    assert refusal.value.code == "config.target"
    assert "in the open" not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused_as_a_setting() -> None:
    with pytest.raises(ConfigError, match="no/such/file"):
        receiver("shop", {"name": "shop", "url": URL, "authorization_file": "no/such/file"})


async def test_an_endpoint_is_made_once_and_follows_its_target(dsn: str) -> None:
    async with webhook_desk(Place(database_url=dsn)) as desk:
        made = await keep_receiver(desk, Receiver("shop", URL, "Bearer one"), STATUS)
        every = Watch(table="stock", columns=("id",), tenant_id="database")
        more = await keep_receiver(desk, Receiver("shop", URL + "2", "Bearer two"), every)

        assert (made.uid, made.tenant_id, made.event_types) == ("shop", "database", ("orders.updated",))
        assert (more.id, more.url) == (made.id, URL + "2")
        assert more.event_types == ("orders.updated", "stock.inserted", "stock.updated", "stock.deleted")
        assert await desk.privates.headers(desk.database, more) == {"authorization": "Bearer two"}
        fewer = Watch(table="stock", columns=("id",), tenant_id="database", events=("delete",))
        less = await keep_receiver(desk, Receiver(made.id), fewer)
        assert less.event_types == ("orders.updated", "stock.deleted")
        assert await desk.privates.headers(desk.database, less) == {"authorization": "Bearer two"}


async def test_a_name_of_nothing_makes_nothing(dsn: str) -> None:
    async with webhook_desk(Place(database_url=dsn)) as desk:
        with pytest.raises(NotFoundError, match="nobody"):
            await keep_receiver(desk, Receiver("nobody"), STATUS)

        assert await desk.endpoints.page("database") == []
