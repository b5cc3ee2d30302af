"""`rowcast dev` for the tests of pages and examples, once for each worker."""

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Development, start_development, stop_development


@pytest.fixture(scope="session")
def quiet_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """A development server that changes nothing by itself."""
    running = start_development(tmp_path_factory.mktemp("quiet"), "--no-traffic")
    yield running
    if running.process.poll() is None:
        stop_development(running)
