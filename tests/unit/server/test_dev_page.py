import msgspec

from rowcast.server.dev_page import curl_line, dev_page, javascript_lines
from rowcast.server.instance import Instance

HERE = Instance(
    pid=1, api_url="http://127.0.0.1:7400", websocket_url="ws://127.0.0.1:7400/realtime/v1",
    live_url="http://127.0.0.1:7400/live", catcher_url="http://127.0.0.1:7400/catcher",
    database_url="postgresql://p@127.0.0.1/x", anon_key="anon", service_key="service", user_token="user", api_key="rk_dev_1",
    tenant_id="acme", data_folder="/d",
)  # fmt: skip


def test_the_page_has_every_url_and_key_and_how_to_stop() -> None:
    page = dev_page(HERE, example="update orders set x = 1")

    for value in msgspec.structs.asdict(HERE).values():
        assert value in (1, True) or str(value) in page
    assert page.splitlines()[-1] == "  Press Ctrl-C to stop."


def test_values_stand_in_one_column() -> None:
    lines = dev_page(HERE, example="x").splitlines()
    starts = {
        line.index(value) for line in lines for value in (HERE.live_url, HERE.catcher_url) if line.endswith(value)
    }

    assert len(starts) == 1


def test_without_the_sample_shop_the_page_says_how_to_watch_a_table_of_ones_own() -> None:
    page = dev_page(HERE, example=None)

    assert "rowcast watch TABLE" in page
    assert "psql" not in page
    assert "curl" not in page


def test_the_lines_to_copy_carry_the_real_addresses_and_keys() -> None:
    assert "Bearer rk_dev_1" in curl_line(HERE)
    assert "'orders:acme'" in "\n".join(javascript_lines(HERE))
