"""What is told, made fit to be seen: bounded words for labels, and texts without secrets and control characters."""

import re
from functools import lru_cache

from rowcast.core.telemetry import Value

OTHER = "other"
REDACTED = "[redacted]"

_WORD = re.compile(r"[A-Za-z0-9_.:\-]{0,64}\Z")
_HTTP_STATUS = re.compile(r"http_([1-5])\d\d\Z")
_SECRET_KEY = re.compile(
    r"password|passwd|secret|token|authorization|cookie|credential|signature|api_?key|private_?key|dsn\Z|jwt"
    r"|payload|e?mail|phone"
)
_SECRET_TEXT = re.compile(
    r"(?P<url>[a-z][a-z0-9+.\-]*://)[^/\s@:]*:[^/\s@]*@"
    r"|\beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"
    r"|\b(?:whsec|whpk|whsk|sk|rk|xox[a-z])[_\-][A-Za-z0-9+/=_\-]{8,}"
    r"|\b(?:[Bb]earer|[Bb]asic)\s+[A-Za-z0-9+/=_.\-]{8,}"
    r"|\b[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+"
)
# Control and format characters (ANSI, CR, LF, right-to-left marks), and two separators at which some viewers break.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
_TEXT_LIMIT_CHARS = 500
_WORD_LIMIT_CHARS = 16


def is_secret_key(key: str) -> bool:
    """Tell whether what stands under a key must not be seen."""
    return _SECRET_KEY.search(key.lower()) is not None


def redact(text: str) -> str:
    """Give a text without passwords in URLs, tokens, keys and e-mail addresses."""
    return _SECRET_TEXT.sub(
        lambda found: f"{found.group('url') or ''}{REDACTED}{'@' if found.group('url') else ''}", text
    )


def escape(text: str) -> str:
    """Give a text in which everything that would move the cursor, break the line or hide is written out."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def clean(key: str, value: Value) -> Value:
    """Give a fact as it may be written: redacted, escaped, at most 500 characters."""
    if not isinstance(value, str):
        return value
    return _clean_word(key, value) if len(value) <= _WORD_LIMIT_CHARS else _clean_text(key, value)


def _clean_text(key: str, text: str) -> str:
    return REDACTED if is_secret_key(key) else escape(redact(text[:_TEXT_LIMIT_CHARS]))


@lru_cache(maxsize=1024)
def _clean_word(key: str, word: str) -> str:
    """Most facts are a few short words that come again and again."""
    return _clean_text(key, word)


class LabelWords:
    """The values of one label: the first few that come, and `other` for whatever comes after them."""

    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int = 32) -> None:
        """Take the most values that the label may have."""
        self._known: dict[Value, str] = {}
        self._limit = limit

    def word(self, value: Value) -> str:
        """Give the label's value for a fact; HTTP statuses by their class, `crash:KeyError` by its kind."""
        known = self._known.get(value)
        if known is not None:
            return known
        word = _label(value)
        if word not in self._known.values() and len(set(self._known.values())) >= self._limit:
            return OTHER
        if len(self._known) < 8 * self._limit:
            self._known[value] = word
        return word


def _label(value: Value) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value or "")
    by_class = _HTTP_STATUS.match(text)
    if by_class is not None:
        return f"http_{by_class.group(1)}xx"
    word = text.partition(":")[0]
    return word if _WORD.match(word) else OTHER
