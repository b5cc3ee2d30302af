"""What nodes and clients are told of presences."""

import json

from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.messages import Malformed, TopicKey
from rowcast.realtime.presence_messages import (
    Announced,
    Change,
    Changed,
    Presence,
    Wanted,
    Whole,
    diff_text,
    in_parts,
    pack_message,
    state_text,
    unpack_message,
)

R = TopicKey("acme", True, "r")
ANN = Presence("n.1", "ann", b'{"status":"on"}')


def test_every_message_comes_out_as_it_went_in() -> None:
    for message in (
        Changed("n", 3, Change(R, (ANN,), ("n.0",))),
        Announced("n", 3, is_leaving=True),
        Wanted(""),
        Whole("n", 3, 0, 1, ((R, ANN),)),
    ):
        assert unpack_message(pack_message(message)) == message


@given(st.binary(max_size=200))
def test_what_is_no_message_is_malformed_and_raises_nothing(data: bytes) -> None:
    assert isinstance(unpack_message(data), Malformed)


def test_a_state_groups_by_name_and_gives_every_presence_its_ref() -> None:
    tabs = (ANN, Presence("n.2", "ann", b"{}"), Presence("n.3", 'b"ob', b'{"a":[1]}'))

    assert json.loads(state_text(tabs)) == {
        "ann": {"metas": [{"phx_ref": "n.1", "status": "on"}, {"phx_ref": "n.2"}]},
        'b"ob': {"metas": [{"phx_ref": "n.3", "a": [1]}]},
    }
    assert state_text(()) == b"{}"


def test_a_diff_of_a_new_payload_names_the_ref_before() -> None:
    again = Presence("n.2", "ann", b'{"status":"off"}', "n.1")

    assert json.loads(diff_text((again,), (ANN,))) == {
        "joins": {"ann": {"metas": [{"phx_ref": "n.2", "phx_ref_prev": "n.1", "status": "off"}]}},
        "leaves": {"ann": {"metas": [{"phx_ref": "n.1", "status": "on"}]}},
    }


def test_many_presences_are_told_in_parts_of_a_bounded_size() -> None:
    many = [(R, Presence(f"n.{number}", "u", b"{}")) for number in range(401)]
    heavy = [(R, Presence(f"n.{number}", "u", b"x" * 100_000)) for number in range(9)]

    assert [len(part.presences) for part in in_parts("n", 1, many)] == [200, 200, 1]
    assert max(len(part.presences) for part in in_parts("n", 1, heavy)) == 3
    assert [(part.part, part.parts) for part in in_parts("n", 1, [])] == [(0, 1)]
