"""The SQL function `rowcast.enqueue`, as people and other languages call it."""

from typing import Any

import asyncpg
import pytest

from rowcast import enqueue, errors
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query


async def call(database: Database, arguments: str) -> Any:
    return await database.fetch_one(parse_query("x", f"select rowcast.enqueue({arguments}) as id"))


async def test_a_job_is_enqueued_from_sql_with_two_words(database: Database) -> None:
    row = await call(database, "'acme', 'shop.pack'")

    (stored,) = await database.fetch(parse_query("x", "select id, payload, attempt, priority from rowcast.delivery"))
    assert dict(stored) == {"id": row["id"], "payload": "{}", "attempt": 0, "priority": 2}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("null, 'shop.pack'", "input.tenant_missing"),
        ("'a:b', 'shop.pack'", "input.tenant"),
        ("'acme', 'Shop Pack'", "input.task"),
        ("'acme', null", "input.task"),
        ("'acme', 'shop.pack', '[1]'", "input.arguments"),
        ("'acme', 'shop.pack', null", "input.arguments"),
        (r"'acme', 'shop.pack', '{\"a\": \"\u0000\"}'", "input.arguments"),
        ("'acme', 'shop.pack', json_build_object('a', repeat('x', 65536))", "outbox.payload_too_large"),
        ("'acme', 'shop.pack', priority => 4", "input.job_options"),
        ("'acme', 'shop.pack', delay_s => -1", "input.job_options"),
        ("'acme', 'shop.pack', delay_s => 'NaN'", "input.job_options"),
        ("'acme', 'shop.pack', max_attempts => -1", "input.job_options"),
        ("'acme', 'shop.pack', key => repeat('k', 513)", "input.job_options"),
    ],
)
async def test_sql_refuses_what_cannot_be_a_job(database: Database, arguments: str, code: str) -> None:
    with pytest.raises(errors.RowcastError) as refused:
        await call(database, arguments.replace(r"\"", '"'))

    assert refused.value.code == code


async def test_only_a_granted_role_may_enqueue(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("create role stranger_of_jobs; set local role stranger_of_jobs")

    with pytest.raises(errors.ConfigError, match="grant rowcast_app") as refused:
        await enqueue(connection, "shop.pack", tenant_id="acme")

    assert refused.value.code == "config.grant"
    await transaction.rollback()
    await connection.close()
