"""Who may talk to a development server."""

import pytest

from rowcast.server.local_only import is_local


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1:7400", "localhost:7400", "localhost", "[::1]:7400", "192.168.1.5:7400", "app.localhost:7400",
     "host.docker.internal:7400", "rowcast:7400"],
)  # fmt: skip
def test_a_program_of_this_machine_is_served(host: str) -> None:
    assert is_local(host, "")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7400", "127.0.0.1.evil.example", "localhost.evil.example", "localhost@evil.example",
     "127.0.0.1:7400,evil.example", "[::1", "2130706433.nip.io", "evil.local.example."],
)  # fmt: skip
def test_a_name_that_only_stands_for_this_machine_is_not(host: str) -> None:
    assert not is_local(host, "")


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "https://localhost", "http://127.0.0.1:5173", "http://[::1]:3000", "http://app.test"],
)
def test_a_page_of_this_machine_is_served(origin: str) -> None:
    assert is_local("127.0.0.1:7400", origin)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://6.6.6.6", "http://localhost.evil.example", "http://localhost@evil.example",
     "file://", "garbage", "http://[", "http://192.168.1.9"],
)  # fmt: skip
def test_a_page_of_the_internet_is_not(origin: str) -> None:
    assert not is_local("127.0.0.1:7400", origin)


def test_a_page_of_the_very_host_that_is_asked_is_served() -> None:
    assert is_local("192.168.1.5:7400", "http://192.168.1.5:3000")
