"""The pack of a ledger run: every event is owed to a webhook endpoint of its tenant and to one job; one table is watched."""

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from rowcast import Event, Pack, Watch, rule, task


class Counted(Event, type="ledger.counted", aggregate="key", key="key"):
    """`mark` tells one write from all others, also from one that was rolled back and had the same number."""

    tenant: str
    key: str
    number: int
    mark: str


def content(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what was written: an emitted payload is that itself, a watched row's change has it as its record."""
    return payload.get("record") or payload


@task(name="ledger.note", timeout_s=10.0, max_attempts=50)
async def note(event: Any) -> dict[str, Any]:
    """Append the event to the file of arrived jobs."""
    written = content(event.payload_value())
    append("ROWCAST_TEST_JOBS_FILE", [line_of("jobs", event.tenant_id, event.id, written)])
    return {"noted": written["number"]}


def line_of(sink: str, tenant: str, event_id: object, written: Mapping[str, Any]) -> dict[str, Any]:
    """Give the line of one arrival, with the names of `ledger_check.Arrived`."""
    return {
        "sink": sink, "tenant": tenant, "claimed_tenant": written["tenant"], "key": written["key"],
        "seq": written["number"], "mark": written["mark"], "event_id": str(event_id), "at": time.monotonic(),
    }  # fmt: skip


def append(variable: str, lines: list[dict[str, Any]]) -> None:
    """Append to the file that a variable names: one write, so that lines of several processes do not mix."""
    file = os.open(os.environ[variable], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, "".join(json.dumps(line) + "\n" for line in lines).encode())
    finally:
        os.close(file)


pack = Pack(
    name="ledger",
    events=(Counted,),
    tasks=(note,),
    rules=(rule("ledger.note", ("ledger.counted", "ledger_item.*"), sink="jobs", target="ledger.note"),),
    watches=(
        Watch(
            table="ledger_item",
            topic="items:{tenant}",
            columns=("tenant", "key", "number", "mark"),
            events=("insert", "update"),
        ),
    ),
)
