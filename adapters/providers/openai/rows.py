"""Providers that differ from OpenAI in facts alone: the rows of `compatible.toml`, read when one is first named."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal, NamedTuple, get_args

StreamUsage = Literal["inject", "always", "never"]
_PLACE = re.compile(r"\{(\w+)\}")
_FILLING = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
"""What may stand in an address: a label of a host's name, so that nobody else's host comes of it."""


class Row(NamedTuple):
    """How to reach one provider.

    `base` is its own address, where `{param}` stands for a parameter or one of the environment variables that `fill`
    lists for it; `below` is added to an address without a path. `base_env` and `key` name environment variables, the first that is set counts. `headers` may hold
    `${VARIABLE}`; a header whose variable is not set is left out. `paths` are those that differ from OpenAI's, by task.
    `renames` are request members under another name, `drops` those that never leave.
    """

    name: str
    base: str = ""
    base_env: tuple[str, ...] = ()
    fill: Mapping[str, tuple[str, ...]] = {}
    below: str = ""
    key: tuple[str, ...] = ()
    key_default: str = ""
    key_header: str = "authorization"
    headers: Mapping[str, str] = {}
    stream_usage: StreamUsage = "inject"
    renames: Mapping[str, str] = {}
    drops: frozenset[str] = frozenset()
    paths: Mapping[str, str] = {}

    @classmethod
    def read(cls, name: str, written: Mapping[str, Any]) -> Row:
        """Read one row; raises ValueError naming what it does not know."""
        unknown = written.keys() - set(cls._fields) | written.keys() & {"name"}
        if unknown:
            raise ValueError(f"`{name}`: unknown keys {', '.join(f'`{key}`' for key in sorted(unknown))}")
        row = cls(name)._replace(**{key: _read(key, value) for key, value in written.items()})
        if row.stream_usage not in get_args(StreamUsage):
            raise ValueError(f"`{name}`: stream_usage is `inject`, `always` or `never`")
        return row._replace(base_env=(f"{re.sub('[^A-Z0-9]', '_', name.upper())}_API_BASE", *row.base_env))

    def address(self, params: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
        """Write the provider's own address; None when it has none, or a part of it is not known."""
        found: dict[str, str] = {}
        for name in _PLACE.findall(self.base):
            given = [params.get(name), *(environ.get(variable) for variable in self.fill.get(name, ()))]
            value = next((str(one) for one in given if one), "")
            if value and not _FILLING.fullmatch(value):
                raise ValueError(f"{name}: `{value}` is no part of a host's name")
            if not value:
                return None
            found[name] = value
        return _PLACE.sub(lambda place: found[place[1]], self.base) or None

    def missing(self) -> str:
        """Say how the address could be known."""
        parts = [f"`{name}` or {', '.join(variables)}" for name, variables in self.fill.items()]
        return "; ".join([f"set `api_base` or {', '.join(self.base_env)}", *parts])

    def filled(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the headers with what the environment says."""
        headers = {}
        for name, text in self.headers.items():
            variable = text[2:-1] if text.startswith("${") else ""
            value = environ.get(variable, "") if variable else text
            if value:
                headers[name] = value
        return headers


def _read(key: str, value: Any) -> Any:
    if key == "fill":
        return {name: tuple(variables) for name, variables in value.items()}
    if key == "drops":
        return frozenset(value)
    return tuple(value) if isinstance(value, list) else value


ITSELF = Row(
    "openai",
    "https://api.openai.com/v1",
    ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    key=("OPENAI_API_KEY",),
    headers={"openai-organization": "${OPENAI_ORGANIZATION}"},
)


@functools.cache
def rows() -> Mapping[str, Row]:
    """Read the data file."""
    text = resources.files("adapters.providers").joinpath("compatible.toml").read_text("utf-8")
    return {name: Row.read(name, written) for name, written in tomllib.loads(text).items()}
