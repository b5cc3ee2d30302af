"""What clients say about their presence, however oddly."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.presence_push import PresencePush, read_presence


@pytest.mark.parametrize(
    ("text", "push"),
    [
        (b'{"type":"presence","event":"track","payload":{"name":"A"}}', PresencePush("track", b'{"name":"A"}')),
        (b'{"type":"presence","event":"untrack"}', PresencePush("untrack", b"{}")),
        (b'{"event":"TRACK","payload":{}}', PresencePush("track", b"{}")),
        (b'{"event":"track","payload":[1]}', PresencePush("track", None)),
        (b'{"event":"track","payload":"x"}', PresencePush("track", None)),
        (b'{"event":"track","payload":null}', PresencePush("track", None)),
        (
            b'{"event":"track","payload":{"phx_ref":"forged","phx_ref_prev":"x","a":1}}',
            PresencePush("track", b'{"a":1}'),
        ),
        (b'{"event":7}', PresencePush("", None)),
        (b"[]", PresencePush("", None)),
        (b"null", PresencePush("", None)),
    ],
)
def test_a_presence_is_read(text: bytes, push: PresencePush) -> None:
    assert read_presence(msgspec.Raw(text)) == push


@given(st.binary(max_size=200))
def test_no_payload_raises(payload: bytes) -> None:
    assert isinstance(read_presence(msgspec.Raw(payload)), PresencePush)


def test_a_payload_deeper_than_any_reader_is_none() -> None:
    deep = b'{"event":"track","payload":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"

    assert read_presence(msgspec.Raw(deep)).payload is None
