from typing import Any

import pytest

from rowcast.core.errors import UsageError
from rowcast.core.pack import Pack


def test_a_pack_may_be_empty() -> None:
    assert Pack(name="shop") == Pack(name="shop", events=(), rules=(), tasks=(), watches=())


@pytest.mark.parametrize("name", ["", "Shop", "my-shop", "1shop", "shop\n", "x" * 64])
def test_a_name_that_is_no_lower_case_word_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        Pack(name=name)

    assert refused.value.code == "usage.pack"


@pytest.mark.parametrize("part", ["events", "rules", "tasks", "watches", "subscriptions", "channels"])
def test_a_part_that_is_no_tuple_is_refused(part: str) -> None:
    parts: dict[str, Any] = {part: [object()]}

    with pytest.raises(UsageError, match=part):
        Pack(name="shop", **parts)
