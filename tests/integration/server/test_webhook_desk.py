"""The tables of webhooks for one command."""

import pytest

from rowcast.core.errors import NotFoundError
from rowcast.server.command import Place
from rowcast.server.webhook_desk import webhook_desk
from rowcast.webhooks.endpoint_draft import EndpointDraft

DRAFT = EndpointDraft(url="https://hooks.example.com/in", uid="main")


async def test_an_endpoint_is_found_by_id_and_uid_and_by_no_other_tenant(dsn: str) -> None:
    async with webhook_desk(Place(database_url=dsn)) as desk:
        made = await desk.endpoints.create("acme", DRAFT)

        assert (await desk.endpoint("acme", made.id), await desk.endpoint("acme", "main")) == (made, made)
        with pytest.raises(NotFoundError):
            await desk.endpoint("other", made.id)
