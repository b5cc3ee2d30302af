"""The programs run as an ordinary user, or as another account where we are root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rowcast.core.errors import ConfigError
from rowcast.server.embedded import EmbeddedPostgres

# A server of an ordinary user, where we are root: everything is imported before the privileges go.
_ORDINARY = """
import asyncio, concurrent.futures.thread, encodings.ascii, encodings.idna, os, sys
from pathlib import Path
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.pool import connect
async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        connection = await connect(server.dsn)
        print(await connection.driver.fetchval("select 1"), os.stat(sys.argv[1] + "/data").st_uid == os.getuid())
        await connection.close()
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
asyncio.run(main())
"""


async def test_a_folder_without_programs_is_refused(server_folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        EmbeddedPostgres(server_folder, bin_folder=server_folder)

    assert caught.value.code == "config.embedded"


def test_an_ordinary_user_needs_no_other_account(server_folder: Path) -> None:
    folder = server_folder / "ordinary"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)

    ended = subprocess.run(
        [sys.executable, "-c", _ORDINARY, str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(folder)},
    )

    assert ended.stdout.strip() == "1 True", ended.stderr
