import pytest

from rowcast.core.errors import ConfigError
from rowcast.server.ports import bind, reserve


def test_port_0_takes_a_free_one() -> None:
    with bind("127.0.0.1", 0, is_next_allowed=False) as listener:
        assert listener.getsockname()[1] > 0


def test_a_taken_port_is_refused() -> None:
    with bind("127.0.0.1", 0, is_next_allowed=False) as taken:
        taken.listen()
        with pytest.raises(ConfigError, match=str(taken.getsockname()[1])) as refused:
            bind("127.0.0.1", taken.getsockname()[1], is_next_allowed=False)

    assert refused.value.code == "config.port_in_use"


def test_in_development_a_taken_port_gives_the_next_free_one() -> None:
    with bind("127.0.0.1", 0, is_next_allowed=False) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with bind("127.0.0.1", port, is_next_allowed=True) as other:
            assert port < other.getsockname()[1] < port + 50


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        bind("192.0.2.1", 0, is_next_allowed=True)

    assert refused.value.code == "config.host"


def test_a_reserved_port_is_shared_by_those_who_ask_to_share_and_by_nobody_else() -> None:
    with reserve("127.0.0.1", 0) as kept:
        port = kept.getsockname()[1]

        with (
            bind("127.0.0.1", port, is_next_allowed=False, is_shared=True) as one,
            bind("127.0.0.1", port, is_next_allowed=False, is_shared=True) as other,
        ):
            one.listen()
            other.listen()
            with pytest.raises(ConfigError):
                bind("127.0.0.1", port, is_next_allowed=False)


def test_a_port_that_another_server_shares_among_its_own_is_not_reserved() -> None:
    with reserve("127.0.0.1", 0) as theirs:
        port = theirs.getsockname()[1]
        with bind("127.0.0.1", port, is_next_allowed=False, is_shared=True) as worker:
            worker.listen()

            with pytest.raises(ConfigError) as refused:
                reserve("127.0.0.1", port)

    assert refused.value.code == "config.port_in_use"
