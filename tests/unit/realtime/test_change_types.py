from rowcast.realtime.change_types import UNKNOWN_TYPE, ColumnType, RoleFacts, TypeRow, build_type, needed_oids


def row(oid: int, name: str, **values: object) -> TypeRow:
    facts: dict[str, object] = {"kind": "b", "category": "X", "is_builtin": True, "element_oid": 0}
    facts |= {"base": name, "field_names": [], "field_oids": [], **values}
    return TypeRow(oid=oid, name=name, **facts)  # type: ignore[arg-type]


def test_a_type_is_built_of_what_it_is_made_of() -> None:
    rows = {
        1: row(1, "_pair", element_oid=2),
        2: row(2, "pair", kind="c", field_names=["a", "b"], field_oids=[3, 4]),
        3: row(3, "email", base="text", category="S"),
    }

    found = build_type(1, rows)

    assert needed_oids(rows) == {4}
    assert found.family == "array"
    assert found.element == ColumnType(
        "pair", "pair", "composite", fields=(("a", ColumnType("email", "text", is_text=True)), ("b", UNKNOWN_TYPE))
    )


def test_a_type_that_is_not_built_in_is_not_taken_for_one_by_its_name() -> None:
    assert build_type(1, {1: row(1, "int4", is_builtin=False)}).family == "other"
    assert build_type(1, {1: row(1, "mood", kind="e", is_builtin=False)}).family == "enum"


def test_a_role_reads_what_it_was_granted() -> None:
    assert RoleFacts(False, frozenset({"a"})).columns_of(("a", "b")) == {"a"}
    assert RoleFacts(False, frozenset(), reads_all=True).columns_of(("a", "b")) == {"a", "b"}
