"""Templates of topics such as `orders:{id}`: what stands between two colons is one word or one parameter. Pure.

A topic fits as a whole or not at all. A parameter takes exactly one part, never an empty one: `orders:1` can never pass
for `orders:10`, and nothing that is appended passes with it.
"""

import re
from collections.abc import Mapping

import msgspec

from rowcast.core.errors import InvalidInputError, InvalidTopicError
from rowcast.core.topic import checked_topic

_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}\Z")


class TopicTemplate(msgspec.Struct, frozen=True):
    """A template, taken apart. `parts` are words as they stand, or `{parameter}`."""

    parts: tuple[str, ...]
    parameters: tuple[str, ...]

    def match(self, topic: str) -> Mapping[str, str] | None:
        """Give the parameters of a topic that fits, or None."""
        found = topic.split(":")
        if len(found) != len(self.parts):
            return None
        values: dict[str, str] = {}
        for part, text in zip(self.parts, found, strict=True):
            if not part.startswith("{"):
                if part != text:
                    return None
            elif text:
                values[part[1:-1]] = text
            else:
                return None
        return values


def parse_template(text: str) -> TopicTemplate:
    """Give a template.

    Raises:
        InvalidInputError: `input.topic_template`, with what is wrong.
    """
    parts = tuple(text.split(":"))
    named = tuple(part[1:-1] for part in parts if _PARAMETER.match(part))
    if any("{" in part or "}" in part for part in parts if not _PARAMETER.match(part)):
        _refuse(text, "a parameter fills the whole part between two colons, and its name is lower-case words with '_'")
    if len(set(named)) != len(named):
        _refuse(text, "a parameter stands in it twice")
    if parts[0] == "tenant" or parts[0].startswith("{"):
        _refuse(text, "it begins with a word of its own; 'tenant' is rowcast's")
    try:
        checked_topic(text)
    except InvalidTopicError as error:
        raise InvalidInputError(str(error), code="input.topic_template") from error
    return TopicTemplate(parts, named)


def _refuse(text: str, why: str) -> None:
    raise InvalidInputError(
        f"The template of topics {text[:140]!r} cannot be used: {why}. Write it like 'orders:{{id}}'.",
        code="input.topic_template",
    )
