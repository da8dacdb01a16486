"""What is written of an extension, read name by name: every error is a ValueError that begins with the name.

A value that is absent is taken from the environment, where one of its variables is set. A key of the environment goes
to the service's own address or the environment's only: no other server is shown it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from engine.outbound import Address, address


class Settings:
    """Settings as they were written, secrets resolved; a value that is null counts as absent."""

    __slots__ = ("_environ", "_known", "_own", "_written")

    def __init__(self, written: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._written = {name: value for name, value in written.items() if value is not None}
        self._environ = environ
        self._known: set[str] = set()
        self._own: set[tuple[str, str, int]] = set()

    def _take(self, name: str) -> Any:
        self._known.add(name)
        return self._written.get(name)

    def _named(self, variables: Sequence[str]) -> str:
        return next((value for name in variables if (value := self._environ.get(name))), "")

    def text(self, name: str, *variables: str, default: str = "") -> str:
        """Return a text, else the first of the environment's variables that is set, else the default."""
        value = self._take(name)
        if value is None:
            return self._named(variables) or default
        return _text(name, value)

    def needed(self, name: str, *variables: str) -> str:
        """Return a text that there must be."""
        found = self.text(name, *variables)
        if not found:
            raise ValueError(f"{name}: set it{_or(variables)}")
        return found

    def base(self, *variables: str, default: str = "", names: Sequence[str] = ("api_base", "url")) -> Address:
        """Return the service's address, under the first of its names that is written."""
        link_local = self.flag("allow_link_local", default=False)
        named = self._named(variables)
        for url in filter(None, (named, default)):
            self._own.add(_address(f"{names[0]} of the environment", url).origin[:3])
        for name in names:
            if written := self.text(name):
                return _address(name, written, link_local)
        if not (named or default):
            raise ValueError(f"{names[0]}: set it{_or(variables)}")
        return _address(names[0], named or default, link_local)

    def key(self, base: Address, *variables: str, name: str = "api_key") -> str:
        """Return a credential for the service at `base`; empty where there is none that it may see."""
        found = self.text(name)
        if not found and base.origin[:3] in self._own:
            found = self._named(variables)
        if any(not 33 <= ord(character) <= 126 for character in found):
            raise ValueError(f"{name}: it holds characters that no header can")
        return found

    def flag(self, name: str, *, default: bool) -> bool:
        """Return yes or no."""
        value = self._take(name)
        if value is not None and not isinstance(value, bool):
            raise _wrong(name, "true or false", value)
        return default if value is None else value

    def number(self, name: str, default: float, most: float) -> float:
        """Return a number from 0 to `most`."""
        value = self._take(name)
        return default if value is None else number(name, value, most)

    def numbers(self, name: str, most: float) -> dict[str, float]:
        """Return numbers from 0 to `most`, by what they are of."""
        return {key: number(f"{name}.{key}", value, most) for key, value in self.mapping(name).items()}

    def texts(self, name: str) -> dict[str, str]:
        """Return texts by their names."""
        return {key: _text(f"{name}.{key}", value) for key, value in self.mapping(name).items()}

    def mapping(self, name: str) -> dict[str, Any]:
        """Return values by their names; empty where absent."""
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise _wrong(name, "names with a value each", value)
        if not all(isinstance(key, str) for key in value):
            raise ValueError(f"{name}: every name must be a text")
        return dict(value)

    def names(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Return a list of texts."""
        value = self._take(name)
        if value is None:
            return list(default)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
            raise _wrong(name, "a list of texts", value)
        return list(value)

    def anything(self, name: str) -> Any:
        """Return whatever is written; None where absent."""
        return self._take(name)

    def end(self, others: Collection[str] = ("type", "timeout")) -> None:
        """Refuse what nobody has read; `others` are the caller's own."""
        for name in self._written:
            if name not in self._known and name not in others:
                close = difflib.get_close_matches(name, self._known, n=1)
                known = ", ".join(f"`{one}`" for one in sorted(self._known))
                raise ValueError(f"{name}: unknown; {f'did you mean `{close[0]}`?' if close else f'known are {known}'}")


def _text(name: str, value: Any) -> str:
    # A number is what YAML makes of `guardrailVersion: 1`; it is as good as its text.
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _wrong(name, "a text", value)
    return str(value)


def number(name: str, value: Any, most: float) -> float:
    """Return a number from 0 to `most`; raises ValueError that begins with the name."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a number", value)
    if not 0 <= value <= most:  # nor is that so of what is no number
        raise ValueError(f"{name}: write a number from 0 to {most:g}")
    return value


def _address(name: str, url: str, link_local: bool = False) -> Address:
    try:
        return address(url, allow_link_local=link_local)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _or(variables: Sequence[str]) -> str:
    return f", or {' or '.join(variables)} in the environment" if variables else ""


def _wrong(name: str, wanted: str, value: Any) -> ValueError:
    return ValueError(f"{name}: write {wanted}, not {_kind(value)}")


def _kind(value: Any) -> str:
    """Say what a value is without saying it: it may be a secret at the wrong place."""
    if value == "":
        return "an empty one"
    found = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return found.get(type(value), "names with values" if isinstance(value, Mapping) else type(value).__name__)
