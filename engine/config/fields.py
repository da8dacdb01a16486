"""What specs are made of: the types of values, and how the forms that people write become them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, WithJsonSchema

from engine import windows
from engine.config.problems import Mark, kind_of_value

_DECIMAL = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")


def _no_boolean(expected: str) -> Callable[[Any], Any]:
    """Refuse true and false, which Python takes for 1 and 0."""

    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"expected {expected}, found true or false")  # noqa: TRY004 - pydantic wants ValueError
        return value

    return check


def _price(value: Any) -> Any:
    """Keep a price as decimal text, so that exact arithmetic on it is possible."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"expected a price in USD such as 0.00000015, found {kind_of_value(value)}")  # noqa: TRY004
    text = str(value).strip()
    if not _DECIMAL.fullmatch(text):
        raise ValueError("expected a price in USD such as 0.00000015, found text")
    if text.startswith("-") and re.search(r"[1-9]", re.split("[eE]", text)[0]):
        raise ValueError("must not be negative")
    return text


def tag_list(value: Any) -> Any:
    """Write tags given as a mapping as `key:value` texts; anything else is left as it is."""
    if not isinstance(value, dict):
        return value
    return [name if item is None else _tag(name, item) for name, item in value.items()]


def _tag(name: str, value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return value
    return f"{name}:{str(value).lower() if isinstance(value, bool) else value}"


def _unix_seconds(value: Any) -> Any:
    """Read an instant: Unix seconds, or an ISO 8601 date or time, in UTC unless it says otherwise."""
    if not isinstance(value, str):
        return _no_boolean("a date such as `2030-01-31`")(value)
    try:
        instant = datetime.fromisoformat(value.strip())
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        if _DECIMAL.fullmatch(value):
            return float(value)
        raise ValueError("expected a date such as `2030-01-31` or `2030-01-31T12:00:00Z`") from None


def text_or_mapping(value: Any) -> Any:
    """Refuse what is neither text nor a mapping."""
    if isinstance(value, (str, dict)):
        return value
    raise ValueError(f"expected text or a mapping, found {kind_of_value(value)}")


Names = tuple[str, ...]

Count = Annotated[int, Field(ge=0), BeforeValidator(_no_boolean("a whole number"))]
"""A whole number, not negative."""

Whole = Annotated[int, BeforeValidator(_no_boolean("a whole number"))]
"""A whole number."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_boolean("a number"))]
"""A number, not negative: seconds, dollars, megabytes, weights."""

Price = Annotated[str, BeforeValidator(_price), WithJsonSchema({"type": ["number", "string"], "minimum": 0})]
"""USD for one token or second, as the decimal text that was written."""

Tags = Annotated[
    Names,
    BeforeValidator(tag_list),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "object"}]}),
]
"""Tags: a list of texts, or a mapping whose entries become `key:value`."""

Instant = Annotated[float, BeforeValidator(_unix_seconds), WithJsonSchema({"type": ["number", "string"]})]
"""Unix seconds, or an ISO 8601 date or time."""


def _duration(text: str) -> str:
    """Refuse what is no `budget_duration`."""
    windows.budget(text)
    return text


def _zone(text: str) -> str:
    """Refuse what is no time zone."""
    windows.budget("1d", text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]
"""How long a budget lasts: `30s`, `30m`, `30h`, `30d`, `1mo`, or `daily` and the like."""

Zone = Annotated[str, AfterValidator(_zone)]
"""A time zone, such as `Europe/Berlin`."""

TextOrMapping = Annotated[
    Any, BeforeValidator(text_or_mapping), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})
]
"""Free text, or a mapping."""


class Spec(BaseModel):
    """A piece of configuration; `from_wire` takes it as people write it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    other_names: ClassVar[Mapping[str, str]] = {}
    """Other names of fields -> their name here."""
    inner: ClassVar[frozenset[str]] = frozenset({"mark"})
    """Fields that no file writes by name."""
    rest: ClassVar[str | None] = None
    """The field that takes what has no field of its own; None: it is left out."""

    @classmethod
    def named(cls) -> frozenset[str]:
        """Return every key of the wire form that has a field."""
        return (frozenset(cls.model_fields) - cls.inner) | frozenset(cls.other_names)

    @classmethod
    def written_name(cls, written: Mapping[str, Any], field: str) -> str:
        """Return the key that gives a field in a mapping as written; the field's own name when none does."""
        names = [field, *(other for other, name in cls.other_names.items() if name == field)]
        given = [name for name in names if name in written]
        return next((name for name in given if written[name] is not None), given[0] if given else field)

    @classmethod
    def from_wire(cls, written: Mapping[str, Any], **inner: Any) -> Self:
        """Make the spec of a mapping as written; null is as good as absent. Raises pydantic.ValidationError."""
        fields = cls.model_fields.keys() - cls.inner
        values = {name: value for name, value in written.items() if name in fields and value is not None}
        for other, name in cls.other_names.items():
            if written.get(other) is not None:
                values.setdefault(name, written[other])
        if cls.rest:
            named = cls.named()
            inner[cls.rest] = {name: value for name, value in written.items() if name not in named}
        return cls.model_validate({**values, **inner})


class Marked(Spec):
    """A piece of configuration that knows its place."""

    mark: Annotated[Mark | None, SkipValidation] = None
