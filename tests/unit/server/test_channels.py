"""Channels of the settings and of packs together."""

import pytest

from rowcast.core.errors import ConfigError, InvalidInputError
from rowcast.realtime.subscriptions import DeclaredChannel
from rowcast.server.channels import declared_channels

ORDERS = {"name": "orders", "table": "orders", "filter_field": "customer_id"}


def test_channels_of_the_file_and_of_packs_are_found_by_name() -> None:
    from_pack = DeclaredChannel(name="guests", table="guests", filter_field="couple_id")

    assert list(declared_channels([ORDERS], [from_pack])) == ["guests", "orders"]


def test_two_channels_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="orders") as refusal:
        declared_channels([ORDERS, ORDERS], [])

    assert refusal.value.code == "config.channel"


def test_a_channel_that_cannot_be_declared_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        declared_channels([{"name": "orders"}], [])
