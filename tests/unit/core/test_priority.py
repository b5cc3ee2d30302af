from rowcast.core.priority import Priority


def test_the_most_urgent_sorts_first() -> None:
    assert sorted(Priority) == [Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW]


def test_the_stored_numbers_never_change() -> None:
    assert [int(each) for each in Priority] == [0, 1, 2, 3]
