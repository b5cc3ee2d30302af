"""Answers as values."""

from rowcast.egress.reply import Timings, merged_timings, parse_headers


def test_headers_of_the_last_block_count_and_the_first_of_a_repeated_one() -> None:
    lines = [
        b"HTTP/1.1 103 Early Hints\r\n",
        b"Link: </x>\r\n",
        b"\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"Retry-After:  7 \r\n",
        b"retry-after: 9\r\n",
        b"X-Odd: a:b\xff\r\n",
        b"junk\r\n",
        b"\r\n",
    ]

    assert parse_headers(lines) == {"retry-after": "7", "x-odd": "a:bÿ"}


def test_time_of_the_look_up_comes_before_every_stage_that_was_reached() -> None:
    merged = merged_timings(Timings(dns_ms=1.0, connect_ms=2.0, first_byte_ms=5.0, total_ms=6.0), 10.0)

    assert merged == Timings(dns_ms=10.0, connect_ms=12.0, tls_ms=0.0, first_byte_ms=15.0, total_ms=16.0)
