import sys
from pathlib import Path
from types import ModuleType

import pytest

from rowcast.core.errors import ConfigError
from rowcast.core.pack import Pack
from rowcast.server.plugins import load_packs, options_of


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("a_shop_for_tests")
    module.pack = Pack(name="shop", rules=("r1",), tasks=("t1", "t2"))  # type: ignore[attr-defined,arg-type]
    module.number = 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_a_named_pack_is_loaded(shop: ModuleType) -> None:
    assert [pack.name for pack in load_packs(["a_shop_for_tests:pack"], installed=())] == ["shop"]


def test_the_attribute_is_pack_where_none_is_named(shop: ModuleType) -> None:
    assert load_packs(["a_shop_for_tests"], installed=())[0].name == "shop"


@pytest.mark.parametrize("name", ["no_such_module:pack", "a_shop_for_tests:nothing", "a_shop_for_tests:number"])
def test_what_is_no_pack_is_refused_with_its_name(shop: ModuleType, name: str) -> None:
    with pytest.raises(ConfigError, match=name) as refused:
        load_packs([name], installed=())

    assert refused.value.code == "config.pack"


def test_two_packs_of_one_name_are_refused(shop: ModuleType) -> None:
    with pytest.raises(ConfigError, match="shop") as refused:
        load_packs(["a_shop_for_tests", "a_shop_for_tests:pack"], installed=())

    assert refused.value.code == "config.pack"


def test_the_options_of_all_packs_are_put_together(shop: ModuleType) -> None:
    other = Pack(name="other", tasks=("t3",))  # type: ignore[arg-type]

    assert options_of([shop.pack, other])["tasks"] == ("t1", "t2", "t3")


def test_a_module_of_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pack_of_this_folder.py").write_text("from rowcast import Pack\npack = Pack(name='here')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])

    assert [pack.name for pack in load_packs(["pack_of_this_folder"], installed=())] == ["here"]


def test_packs_that_are_there_already_come_first_and_keep_their_names(shop: ModuleType) -> None:
    first = Pack(name="first")

    assert [pack.name for pack in load_packs(["a_shop_for_tests"], installed=(), beside=(first,))] == ["first", "shop"]
    with pytest.raises(ConfigError):
        load_packs(["a_shop_for_tests"], installed=(), beside=(Pack(name="shop"),))
