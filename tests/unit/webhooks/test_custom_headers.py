import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.webhooks.custom_headers import checked_headers


def test_headers_of_the_tenants_own_are_taken() -> None:
    headers = {"Authorization": "Bearer x", "x-team": "blue", "api-key": ""}

    assert checked_headers(headers) == headers


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-id": "x"},
        {"Webhook-Signature": "x"},
        {"svix-anything": "x"},
        {"Content-Type": "text/plain"},
        {"content-encoding": "gzip"},
        {"User-Agent": "x"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Host": "inside"},
        {"Content-Length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"Proxy-Authorization": "x"},
        {"Cookie": "a=b"},
        {"Expect": "100-continue"},
        {"Upgrade": "h2c"},
        {"x-a": "b\r\nx-c: d"},
        {"x-a": "b\nc"},
        {"x-a": "b\x00"},
        {"x-a": "ü"},
        {"x-a\r\nx-b": "c"},
        {"x a": "b"},
        {"x-a:": "b"},
        {"": "b"},
        {"x-a": "1", "X-A": "2"},
        {"x-a": "b" * 4097},
        {f"x-{number}": "b" * 4000 for number in range(3)},
        {f"x-{number}": "b" for number in range(33)},
    ],
)
def test_ours_those_of_the_connection_and_what_would_be_two_headers_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        checked_headers(headers)

    assert refusal.value.code == "input.header"
