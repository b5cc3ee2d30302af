"""The same request again, after what it was about was removed."""

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import made_application

MARK = "a-mark-that-nobody-else-has"


async def test_no_kept_answer_holds_what_a_message_held(api: Running) -> None:
    headers = {**await api.key(), "idempotency-key": "auto_1"}
    await made_application(api, await api.key(), uid="acme")
    path, body = "/api/v1/app/acme/msg", {"eventType": "order.paid", "payload": {"mark": MARK}}
    first = await api.client.post(path, headers=headers, json=body)
    same = await api.client.post(path, headers=headers, json=body)

    removed = await api.client.delete(f"{path}/{first.json()['id']}/content", headers=headers)
    after = await api.client.post(path, headers=headers, json=body)
    other = await api.client.post(path, headers=headers, json={**body, "payload": {}})

    assert (first.status_code, same.status_code, after.status_code, other.status_code) == (202, 202, 202, 409)
    assert same.json() == first.json()
    assert removed.status_code == 204
    assert after.json() == {**first.json(), "payload": {"expired": True}}
    assert not [table for table, row in await every_row(api) if MARK in row]


async def every_row(api: Running) -> list[tuple[str, str]]:
    """Give every row of every table as text, bytes as they are."""
    found: list[tuple[str, str]] = []
    async with api.app.database.connection() as connection:
        await connection.driver.execute("set bytea_output = 'escape'")
        tables = await connection.driver.fetch(
            "select table_name as name from information_schema.tables where table_schema = 'rowcast' "
            "and table_type = 'BASE TABLE'"
        )
        for table in tables:
            rows = await connection.driver.fetch(f"select t::text as row from rowcast.{table['name']} t")
            found += [(table["name"], row["row"]) for row in rows]
        await connection.driver.execute("reset bytea_output")
    return found
