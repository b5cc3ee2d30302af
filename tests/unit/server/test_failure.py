from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.server.failure import crash_text, refusal_in

CONFIG, AWAY = ConfigError("set it"), StoreUnavailableError("away")


def test_a_refusal_is_found_however_deep_it_lies() -> None:
    group = ExceptionGroup("a", [ExceptionGroup("b", [CONFIG])])

    assert refusal_in(group) is CONFIG
    assert refusal_in(CONFIG) is CONFIG


def test_what_the_operator_must_correct_is_told_before_what_follows_from_it() -> None:
    assert refusal_in(ExceptionGroup("a", [AWAY, ExceptionGroup("b", [CONFIG])])) is CONFIG


def test_a_fault_of_ours_is_never_hidden_behind_a_refusal() -> None:
    assert refusal_in(ExceptionGroup("a", [CONFIG, ZeroDivisionError()])) is None
    assert refusal_in(ZeroDivisionError()) is None


def test_a_crash_is_told_with_its_place_and_what_to_do() -> None:
    try:
        raise ZeroDivisionError("words")
    except ZeroDivisionError as error:
        text = crash_text(ExceptionGroup("a", [CONFIG, error]))

    assert "test_failure.py" in text
    assert text.endswith("(ZeroDivisionError). Report it with the lines above.")
