"""The log is streamed only where nothing is missing for it."""

import pytest

from rowcast.server.feed_choice import StreamRights, find_obstacle


@pytest.mark.parametrize(
    ("rights", "obstacle"),
    [
        (StreamRights("logical", may_replicate=True, may_publish=True), None),
        (StreamRights("replica", may_replicate=True, may_publish=True), "wal_level"),
        (StreamRights("minimal", may_replicate=False, may_publish=False), "wal_level"),
        (StreamRights("logical", may_replicate=False, may_publish=True), "replication_role"),
        (StreamRights("logical", may_replicate=True, may_publish=False), "publication_right"),
    ],
)
def test_the_first_thing_that_is_missing_is_named(rights: StreamRights, obstacle: str | None) -> None:
    assert find_obstacle(rights) == obstacle
