"""The pack of a ledger run: every event is owed to a webhook endpoint of its tenant and to one job."""

import json
import os
import time
from typing import Any

from rowcast import Event, Pack, rule, task


class Counted(Event, type="ledger.counted", aggregate="key", key="key"):
    tenant: str
    key: str
    number: int


@task(name="ledger.note", timeout_s=10.0, max_attempts=50)
async def note(event: Any) -> dict[str, Any]:
    """Append the event to the file of arrived jobs: one write, so that lines of several workers do not mix."""
    payload = event.payload_value()
    line = {
        "sink": "jobs", "tenant": event.tenant_id, "claimed_tenant": payload["tenant"], "key": payload["key"],
        "seq": payload["number"], "event_id": str(event.id), "at": time.monotonic(),
    }  # fmt: skip
    file = os.open(os.environ["ROWCAST_TEST_JOBS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, (json.dumps(line) + "\n").encode())
    finally:
        os.close(file)
    return {"noted": payload["number"]}


pack = Pack(
    name="ledger",
    events=(Counted,),
    tasks=(note,),
    rules=(rule("ledger.note", "ledger.counted", sink="jobs", target="ledger.note"),),
)
