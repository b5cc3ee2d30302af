"""What stock clients expect beside realtime: accounts and tables over HTTP, small, for development and tests only.

`rowcast dev --shim` serves it, so that suites written for the platform of the stock clients run against rowcast;
`rowcast serve` never does.
"""

from collections.abc import Sequence
from importlib import resources

from litestar import Router

from rowcast.core.clock import Clock
from rowcast.realtime.authorize import Authorizer
from rowcast.store.pool import Database
from rowcast.testing.shim_auth import Accounts, auth_routes
from rowcast.testing.shim_rest import rest_routes


async def open_shim(database: Database, *, secret: str, authorizer: Authorizer, clock: Clock) -> Sequence[Router]:
    """Prepare the database and give the routes under `/auth/v1` and `/rest/v1`."""
    script = resources.files("rowcast.testing").joinpath("shim.sql").read_text("utf-8")
    async with database.transaction() as connection:
        await connection.run_script(script)
    accounts = Accounts(database=database, secret=secret, clock=clock)
    return (
        auth_routes(accounts=accounts, authorizer=authorizer, clock=clock),
        rest_routes(database=database, authorizer=authorizer, clock=clock),
    )
