import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.egress.terms import Identity, parse_networks


def test_networks_are_read() -> None:
    assert [str(network) for network in parse_networks(["10.1.0.0/16", " fd00:1::/64"])] == [
        "10.1.0.0/16",
        "fd00:1::/64",
    ]


@pytest.mark.parametrize("text", ["", "10.1.0.1/16", "example.com", "10.0.0.0/33", "10.0.0.0-10.1.0.0"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_networks([text])

    assert refusal.value.code == "input.network"


def test_text_form_of_an_identity_hides_it() -> None:
    assert "canary" not in repr(Identity(b"canary", b"canary"))
