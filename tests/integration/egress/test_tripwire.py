"""Nothing that a tenant says makes the server connect to an address inside: no check but a wire at every address says so."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

ROOT = Path(__file__).parents[3]
# Every address of the world is on `lo` then.
_NETWORK = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo"
# As root the database runs as another user, whose folders a mapped root could not open.
_UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net", "sh", "-c"]


def in_a_world_of_its_own(*command: str) -> subprocess.CompletedProcess[str]:
    line = f'{_NETWORK} && exec "$0" "$@"'
    return subprocess.run(
        [*_UNSHARE, line, *command], check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def attacked(dsn: str, proxy: str = "") -> dict[str, Any]:
    """Give what was seen while a server on this database was attacked in a network of its own."""
    try:
        probe = in_a_world_of_its_own("true")
    except FileNotFoundError as error:
        pytest.skip(f"NOT TESTED: there is no {error.filename} on this machine.")
    if probe.returncode:
        pytest.skip(f"NOT TESTED: network namespaces are not allowed here: {probe.stderr.strip()[:200]}")
    done = in_a_world_of_its_own(
        sys.executable, "-m", "tests.integration.egress.tripwire_child", socket_dsn(dsn), proxy
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def socket_dsn(dsn: str) -> str:
    """Give the same database by its socket in a folder: the network of the child reaches no other."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select current_setting('unix_socket_directories'), current_setting('port')"
        ).fetchone()
        info = connection.info
        assert row is not None
        login = f"{quote(info.user)}:{quote(info.password)}"
        return f"postgresql://{login}@/{info.dbname}?host={quote(row[0], safe='')}&port={row[1]}"


def test_nothing_inside_is_ever_connected_to(dsn: str) -> None:
    """Creating, changing, sending an example, delivering, sending again, token URLs; redirects; names that point inside."""
    seen = attacked(dsn)

    assert seen["control"] == [True] * 5  # the wires trip
    assert {where for where in seen["hits"] if not where.startswith("control")} <= {
        f"{stage} 8.8.8.8" for stage in ("delivery", "example", "replay")
    }
    assert seen["hits"]["delivery 8.8.8.8"] == 1  # the one public endpoint, whose redirect nobody followed
    assert seen["answers"] == {
        what: [422] for what in ("create", "put", "update", "replace", "authentication", "with authentication")
    }
    assert (seen["examples"], seen["again"]) == ([200], [202])
    ends = {end.partition(" ")[0] for end in seen["ends"]}
    assert ends == {"http_302", "egress_blocked", "egress_invalid", "token_failed"}


def test_a_proxy_is_asked_for_nothing_inside_either(dsn: str) -> None:
    seen = attacked(dsn, "proxy")

    assert {where for where in seen["hits"] if not where.startswith("control")} == set()
    assert seen["proxy"]
    assert {line.split(" ")[1] for line in seen["proxy"]} == {"http://public.example.com/redirect"}
