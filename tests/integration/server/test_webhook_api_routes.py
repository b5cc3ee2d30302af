"""All routes of the webhook API together."""

from functools import partial

from rowcast.server.keys import find_key
from rowcast.server.webhook_api_errors import is_webhook_api
from rowcast.server.webhook_api_routes import webhook_api_routes
from tests.integration.server.running import Running


async def test_every_route_lies_where_errors_have_the_form_that_the_sdks_read(api: Running) -> None:
    routers = webhook_api_routes(api.app, find_key=partial(find_key, api.app.database))

    paths = {route.path for router in routers for route in router.routes}
    assert len(paths) > 20
    assert all(is_webhook_api(path) for path in paths)
