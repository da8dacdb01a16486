"""Copies that hooks may change as they like, in which the texts of a question are found again.

Laws of this file:
1. A text is read by its path, as long as every list on the way is as long as it was and what stands there is its holder or new; else
   in its holder, if that is still in the same member. Where neither leads anywhere nothing is known of the text, which is an error,
   never a pass.
2. What else a hook changed is told by the names of top-level members, never by a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.remotes.custom.answers import members
from engine.detecting import DetectorError

METADATA, NAMED = "metadata", "guardrails"
"""Where what a client says may have to give way to what the gateway knows; there a text that is gone is as it was."""
Place = tuple[Any, Any]
Path = tuple[Any, ...]


class Copied:
    """A copy of a body: `body` is the hook's, `original` is never touched.

    `places` are those of the question, in the original; raises DetectorError for a body that is nested too deep.
    """

    def __init__(self, original: Any, places: Sequence[Place]) -> None:
        self.original = original
        self._from: dict[int, tuple[int, Any, Any]] = {}
        try:
            self.body = self._copy(original, 0, None)
        except RecursionError:
            raise DetectorError("was not asked: the body is nested too deep") from None
        self._places = [(holder if id(holder) in self._from else original, key) for holder, key in places]
        """What the gateway holds members of a request in is not the request that it shows, where a member is a text itself."""
        self._copies = frozenset(id(made) for _, _, made in self._from.values())
        self._skipped = frozenset((id(holder), key) for holder, key in self._places)

    def _copy(self, value: Any, parent: int, key: Any) -> Any:
        if isinstance(value, dict):
            made: Any = {}
            self._from[id(value)] = (parent, key, made)
            for name, inner in value.items():
                made[name] = self._copy(inner, id(value), name) if isinstance(inner, dict | list) else inner
            return made
        if isinstance(value, list):
            made = []
            self._from[id(value)] = (parent, key, made)
            made += (
                self._copy(inner, id(value), at) if isinstance(inner, dict | list) else inner
                for at, inner in enumerate(value)
            )
            return made
        return value

    def holder(self, at: int) -> Any:
        """Return what holds a text in the copy."""
        return self._from[id(self._places[at][0])][2]

    def texts(self, root: Any, hook: str) -> list[str]:
        """Read the texts in what the hook made of the copy; raises DetectorError where one is not to be found."""
        found = []
        for at, (holder, key) in enumerate(self._places):
            path = self._path(id(holder))
            text = _step(self._there(root, self.holder(at), path), key)
            if path[:1] == (METADATA,) and (path[1:2] == (NAMED,) or not isinstance(text, str)):
                text = holder[key]
            if not isinstance(text, str):
                where = str(path[0]) if path else str(key)
                raise DetectorError(
                    f"`{hook}` left no text where one was, in `{where}`: change texts where they stand; what is put in, "
                    "taken out or put in another order has no effect here"
                )
            found.append(sound(text, hook))
        return found

    def _there(self, root: Any, mine: Any, path: Path) -> Any:
        """Return what holds a text now; None where that is not known."""
        there = members(self._follow(root, path))
        if there is mine:
            return mine
        if there is None or id(there) in self._copies:
            # It was moved, or what stands in its place was: it is itself, if it is still in the same member of the body.
            within = _step(root, path[0]) if path else root
            return mine if any(one is mine for one in _containers(within)) else None
        return there

    def _path(self, holder: int) -> Path:
        path: list[Any] = []
        while True:
            holder, key, _ = self._from[holder]
            if not holder:
                return tuple(reversed(path))
            path.append(key)

    def _follow(self, root: Any, path: Path) -> Any:
        """Walk a path through what was made of the copy; None where a list is not as long as it was."""
        here, was = root, self.original
        for key in path:
            if _moved(was, here):
                return None
            here, was = _step(here, key), was[key]
        return None if _moved(was, here) else here

    def others(self, root: Any, ignored: frozenset[str]) -> list[str]:
        """Name the top-level members that differ in more than the texts; nothing where the hook made a thing of its own."""
        root, original = members(root), self.original
        if not isinstance(root, dict) or not isinstance(original, dict):
            return []
        names = [*original, *(name for name in root if name not in original)]
        return [name for name in names if name not in ignored and not self._same(original, root, name)]

    def _same(self, was: Mapping[str, Any], root: Mapping[str, Any], name: str) -> bool:
        if name not in was or name not in root:
            return False
        if (id(was), name) in self._skipped:
            return True
        return was[name] == root[name] or self._alike(was[name], root[name])

    def _alike(self, was: Any, now: Any) -> bool:
        now = members(now)
        if isinstance(was, dict) and isinstance(now, dict):
            return was.keys() == now.keys() and all(
                (id(was), name) in self._skipped or self._alike(inner, now[name]) for name, inner in was.items()
            )
        if isinstance(was, list) and isinstance(now, list):
            return len(was) == len(now) and all(
                (id(was), at) in self._skipped or self._alike(inner, now[at]) for at, inner in enumerate(was)
            )
        return bool(was == now)


def sound(text: str, hook: str) -> str:
    """Return a text as one that can be sent; raises DetectorError for half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DetectorError(f"`{hook}` left a text that is none: it cannot be written as UTF-8") from None
    return str.__str__(text)


def _moved(was: Any, now: Any) -> bool:
    """Tell whether places in what was a list may mean others now."""
    return isinstance(was, list) and not (isinstance(now, list) and len(now) == len(was))


def _step(holder: Any, key: Any) -> Any:
    """Return what stands at a key, of a mapping, a list, or an object with members; None where nothing does."""
    holder = members(holder)
    if isinstance(holder, dict):
        return holder.get(key)
    if isinstance(holder, list):
        return holder[key] if isinstance(key, int) and key < len(holder) else None
    return getattr(holder, key, None) if isinstance(key, str) else None


def _containers(root: Any) -> Iterator[Any]:
    """Give all mappings and lists within a value; each once, for a hook may make a ring of them."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = members(waiting.pop())
        if not isinstance(one, dict | list) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += one.values() if isinstance(one, dict) else one
