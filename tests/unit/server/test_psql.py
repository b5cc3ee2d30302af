from rowcast.server.psql import psql_call


def test_the_password_goes_by_the_environment() -> None:
    arguments, variables = psql_call("postgresql://ada:p%40ss@db:5432/shop?sslmode=require", ["-c", "select 1"])

    assert arguments == ["postgresql://ada@db:5432/shop?sslmode=require", "-c", "select 1"]
    assert variables == {"PGPASSWORD": "p@ss"}


def test_a_url_without_a_password_stays_as_it_is() -> None:
    assert psql_call("postgresql://ada@db/shop", []) == (["postgresql://ada@db/shop"], {})
