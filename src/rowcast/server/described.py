"""What the OpenAPI document says of a route and its signature does not. Pure.

    @post("/thing", guards=may_write, described=Described(ThingIn, {201: ThingOut, 200: ThingOut}))

From the signature come the path, the query and, for `data: ThingIn`, the body; from the guards that a key is asked for;
from all of these the refusals that any such route gives.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET

from rowcast.server.wire import JSON_FIELDS

JSON = "application/json"


def _said(**schema: Any) -> msgspec.Meta:
    """Say something of a field in the document only: a room refuses it, in a sentence of its own."""
    return msgspec.Meta(extra_json_schema=schema)


NamedText = Annotated[str, _said(minLength=1, maxLength=256)]
Uid = Annotated[str, _said(minLength=1, maxLength=256, pattern=r"^[A-Za-z0-9_.\-]+$")]
Rate = Annotated[int, _said(minimum=1, maximum=1_000_000)]
EventTypeName = Annotated[
    str, _said(minLength=1, maxLength=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_\-]*(\.[A-Za-z0-9_\-]+)*$")
]
HttpUrl = Annotated[str, _said(format="uri")]
ObjectText = Annotated[msgspec.Raw, _said(type="object")]


class Described(msgspec.Struct, frozen=True):
    """What a route takes, gives and refuses.

    `takes` is the type of a body that the route reads by hand, `requires` are fields that it needs beyond that type.
    `gives` is the type of its answer, or one for each status; None is an empty answer. `refuses` are the statuses of
    refusals that do not follow from the route's shape; with `is_whole` there are no others. `asks` are the parameters
    of the query that it reads by hand. `bearer` is whose token it asks for where no guard does.
    """

    takes: Any = None
    gives: Any = UNSET
    refuses: tuple[int, ...] = ()
    asks: Mapping[str, Any] = {}
    bearer: Literal["", "key", "user"] = ""
    taken_as: tuple[str, ...] = (JSON,)
    given_as: tuple[str, ...] = (JSON,)
    is_whole: bool = False
    requires: tuple[str, ...] = ()


def shown_type(record: type[msgspec.Struct], **more: Any) -> Any:
    """Give the type of what `wire.shown` makes of a record, with `more` fields beside its own."""
    own = [(field.name, Any if field.name in JSON_FIELDS else field.type) for field in msgspec.structs.fields(record)]
    # Two types of one name would be one in the document.
    name = record.__name__ + "".join(word.title() for word in more)
    return msgspec.defstruct(name, [*own, *more.items()], rename="camel", module=record.__module__)


def several(item: Any) -> Any:
    """Give the type of a list of `item`."""
    return tuple[item, ...]


def listed_type(item: Any, **more: Any) -> Any:
    """Give the type of `{"data": [item, ...]}`, with `more` fields beside it."""
    name = f"{item.__name__}List"
    return msgspec.defstruct(name, [("data", several(item)), *more.items()], rename="camel", module=item.__module__)
