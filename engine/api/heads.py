"""The head of the request that a connection is reading: target and headers, piece by piece, within bounds."""

from __future__ import annotations

from engine.call import Headers
from engine.flow import Flow

HEAD_LIMIT = 64 * 1024
HEADER_COUNT = 128
NAMES = 1024
_names: dict[bytes, str] = {}
"""Header names as they came -> lower case; kept for the common ones, within a bound."""


class Heads(Flow):
    """Collects one head after another."""

    __slots__ = ("headers", "size", "target")

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Begin a new head."""
        self.target = b""
        self.headers = Headers()
        self.size = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self.target += url

    def add(self, name: bytes, value: bytes) -> None:
        """Take a header; one that came before holds both values then. Raises ValueError beyond the bounds."""
        self.size += len(name) + len(value)
        if self.size > HEAD_LIMIT:
            raise ValueError("headers too large")
        headers = self.headers
        key = _names.get(name) or _lower(name)
        text = value.decode("utf-8", "surrogateescape")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
        if len(headers) > HEADER_COUNT:
            raise ValueError("too many headers")


def _lower(name: bytes) -> str:
    if len(_names) < NAMES:
        _names[name] = name.decode("latin-1").lower()
    return name.decode("latin-1").lower()
