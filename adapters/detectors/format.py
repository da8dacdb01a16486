"""Answers that must have a form: `{format: {schema: {…}}}` for JSON that fits a JSON Schema, `{format: {regex: …}}` for other text.

What does not fit is hit as a whole. Schemas refer to nothing outside themselves, and their patterns are matched in linear time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from engine.closure import compiled
from engine.detecting import Hit

TYPE = "FORMAT"


class Format:
    """Validates a text as a whole; raises ValueError for a schema or an expression that is none."""

    __slots__ = ("_fits", "longest", "types", "whole")

    def __init__(self, said: Any) -> None:
        if not isinstance(said, Mapping) or len(said) != 1 or not set(said) <= {"schema", "regex"}:
            raise ValueError("format: write `{schema: {…}}` or `{regex: …}`")
        self._fits = _schema(said["schema"]) if "schema" in said else _regex(said["regex"])
        self.types: Sequence[str] = (TYPE,)
        self.whole = True
        self.longest = 0

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return one hit of the whole text if it does not fit."""
        return () if self._fits(text[start:]) else [Hit(start, len(text), TYPE)]

    def pending(self, text: str, start: int = 0) -> int:
        """Return `start`: half an answer has no form yet."""
        del text
        return start


def _regex(pattern: Any) -> Callable[[str], bool]:
    if not isinstance(pattern, str):
        raise ValueError("format: `regex` is a regular expression that the whole text matches")  # noqa: TRY004 a setting, not an argument
    regexp = compiled(pattern)
    return lambda text: regexp.fullmatch(text.strip().encode("utf-8", "replace")) is not None


def _schema(schema: Any) -> Callable[[str], bool]:
    try:
        import jsonschema_rs  # noqa: PLC0415 - a native package that only this needs
    except ModuleNotFoundError as error:
        raise ValueError("format: `schema` needs a package more: pip install 'interlock-gateway[format]'") from error
    try:
        validator = jsonschema_rs.validator_for(
            schema, retriever=_refused, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"format: `schema` is no JSON Schema: {getattr(error, 'message', error)}") from error
    return lambda text: _valid(validator, text)


def _valid(validator: Any, text: str) -> bool:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return bool(validator.is_valid(value))


def _refused(uri: str) -> NoReturn:
    raise ValueError(f"it refers to `{uri}`: write what stands there into the schema")
