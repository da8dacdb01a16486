r"""What a text that breaks off could still become: from a pattern of RE2, the pattern of all beginnings of its matches.

`ab{2,3}c\b` has the beginnings `a`, `ab`, `abb`, `abbb`, `abbc` and `abbbc`: the last two are matches already, but only what
comes next says whether a word ends there. One search that is anchored at the end of a text then finds the longest suffix
that could become a match, or a longer one. A beginning may be taken for one that is none (a lazy repeat counts as greedy);
one that is may never be missed.

The syntax read here is RE2's own, and RE2 has accepted a pattern before it is read. Each piece of it is rendered with the
flags that hold where it stands, so that the pieces can be put together anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import re2

from engine.syntax import Atom, Choice, Edge, Node, Repeat, Sequence, parse

MOST_REPEATS = 1000
"""RE2 refuses to repeat more often."""
MEMORY = 64 << 20
"""Bytes that one pattern's automaton may have; RE2's own 8 MiB are too few for a set."""
EXACT = 32
"""Characters up to which a repeat keeps its bounds when patterns are loosened."""
_UNANCHORED = re2._re2.RE2.Anchor.UNANCHORED  # noqa: SLF001 - as below
_WORDS = (
    ("invalid escape sequence: \\", r"\\[1-9]", "RE2 has no back-references: write out what may repeat"),
    ("invalid perl operator: (?P", r"\(\?P=", "RE2 has no back-references: write out what may repeat"),
    ("invalid perl operator: (?", r"\(\?<?[=!]", "RE2 has no look-around: match what stands there, or use `\\b`"),
    ("invalid perl operator: (?", r"\(\?>", "RE2 has no atomic groups: write `(?:`"),
    ("bad repetition operator", r"[+*?}][+]", "RE2 has no possessive repeats, and needs none: leave the second `+` out"),
    ("invalid repetition size", "", f"RE2 repeats at most {MOST_REPEATS} times, nested repeats multiplied: write `+` or `{{n,}}`"),
    ("invalid escape sequence: \\Z", "", "RE2 writes the end of the text `\\z`"),
    ("invalid character class range: \\u", "", "RE2 writes characters by number `\\x{4e2d}`"),
    ("invalid escape sequence: \\u", "", "RE2 writes characters by number `\\x{4e2d}`"),
)  # fmt: skip
"""What RE2 says, what the pattern then holds, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Closure:
    """The beginnings of a pattern's matches, as a pattern that matches no empty text (None: every match is one character)."""

    pattern: str | None
    longest: int | None
    """The most characters of a match; None where nothing bounds them."""


def options() -> re2.Options:
    """Return how patterns are compiled here: with room, and saying nothing on standard error."""
    chosen = re2.Options()
    chosen.max_mem = MEMORY
    chosen.log_errors = False
    return chosen


def compiled(pattern: str) -> re2._Regexp:
    """Compile a pattern; raises ValueError that says what to write instead."""
    try:
        found = re2.compile(pattern, options())
    except re2.error as error:
        said = error.args[0] if error.args else b""
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"pattern `{pattern}` is refused: {_advice(reason, pattern)}") from None
    return found


def matcher(pattern: str) -> Callable[[bytes, int, int], list[tuple[int, int]]]:
    """Return what finds a pattern in bytes from one place to another: the spans of the match and its groups, (-1, -1) for none.

    For searches so short that the objects which `re2` puts around them would cost more.
    """
    return partial(compiled(pattern)._regexp.Match, _UNANCHORED)  # noqa: SLF001 - what `re2` itself calls, with nothing around it


def closed(pattern: str) -> Closure:
    """Return the beginnings of a pattern's matches; raises ValueError for one that RE2 refuses or that can match nothing."""
    compiled(pattern)
    tree = parse(pattern)
    if _shortest(tree) == 0:
        raise ValueError(f"pattern `{pattern}` matches the empty text: write `+` for `*`, or `{{1,n}}`")
    return Closure(_begun(tree)[1], _longest(tree))


def loosened(pattern: str, exact: int = EXACT) -> str:
    """Return a pattern that matches whatever `pattern` does and more, with a small automaton: longer repeats have no bound.

    A repeat of up to `exact` characters stays as it is; of a longer one as many are asked for at least, half of them at most.
    """
    return _written(_loose(parse(pattern), exact))


def _loose(node: Node, exact: int) -> Node:
    match node:
        case Atom() | Edge():
            return node
        case Sequence(parts):
            return Sequence(tuple(_loose(part, exact) for part in parts))
        case Choice(ways):
            return Choice(tuple(_loose(way, exact) for way in ways))
        case Repeat(inner, least, most):
            longest = _longest(node)
            if longest is not None and longest <= exact:
                return node
            return Repeat(
                _loose(inner, exact), min(least, max(1, exact // 2)), most if most is not None and most <= 1 else None
            )


def _advice(reason: str, pattern: str) -> str:
    for said, holds, advice in _WORDS:
        if reason.startswith(said) and re.search(holds, pattern):
            return f"{reason}; {advice}"
    return reason


def _shortest(node: Node) -> int:
    match node:
        case Atom():
            return 1
        case Edge():
            return 0
        case Sequence(parts):
            return sum(map(_shortest, parts))
        case Choice(ways):
            return min(map(_shortest, ways))
        case Repeat(inner, least, _):
            return least * _shortest(inner)


def _longest(node: Node) -> int | None:
    match node:
        case Atom():
            return 1
        case Edge():
            return 0
        case Sequence(nodes) | Choice(nodes):
            lengths = [length for length in map(_longest, nodes) if length is not None]
            if len(lengths) < len(nodes):
                return None
            return sum(lengths) if isinstance(node, Sequence) else max(lengths)
        case Repeat(inner, _, most):
            longest = _longest(inner)
            if longest == 0:
                return 0
            return None if longest is None or most is None else most * longest


# --- rendering ---------------------------------------------------------------------------------------------------


def _written(node: Node) -> str:
    """Render all that a node matches."""
    match node:
        case Atom(text) | Edge(text):
            return text
        case Sequence(parts):
            return "".join(map(_written, parts))
        case Choice(ways):
            return f"(?:{'|'.join(map(_written, ways))})"
        case Repeat(inner, least, most):
            return _times(_written(inner), least, most)


def _times(pattern: str, least: int, most: int | None) -> str:
    return f"(?:{pattern}){{{least},{'' if most is None else most}}}"


def _either(*ways: str | None) -> str | None:
    """Join alternatives, None being the one that matches nothing at all."""
    kept = list(dict.fromkeys(way for way in ways if way is not None))
    return None if not kept else kept[0] if len(kept) == 1 else f"(?:{'|'.join(kept)})"


def _empty(node: Node) -> str | None:
    """Render the empty texts that a node matches: the edges they stand at. None where it matches none."""
    match node:
        case Atom():
            return None
        case Edge(text):
            return text
        case Sequence(parts):
            texts = [_empty(part) for part in parts]
            kept = [text for text in texts if text is not None]
            return "".join(kept) if len(kept) == len(texts) else None
        case Choice(ways):
            return _either(*map(_empty, ways))
        case Repeat(inner, least, _):
            return "" if least == 0 else _empty(inner)


def _filled(node: Node) -> str | None:
    """Render the texts of at least one character that a node matches; may match the empty text too, in nested repeats."""
    match node:
        case Atom(text):
            return text
        case Edge():
            return None
        case Choice(ways):
            return _either(*map(_filled, ways))
        case Repeat(inner, least, most):
            return None if most == 0 else _times(_written(inner), max(1, least), most)
        case Sequence(parts):
            return _filled_all(parts)


def _filled_all(parts: tuple[Node, ...]) -> str | None:
    if any(_empty(part) is None for part in parts):
        return "".join(map(_written, parts))
    filled = None
    for at in reversed(range(len(parts))):
        behind = _written(Sequence(parts[at + 1 :]))
        filled = _either(_after(_filled(parts[at]), behind), _after(_empty(parts[at]), filled))
    return filled


def _after(before: str | None, behind: str | None) -> str | None:
    return None if before is None or behind is None else before + behind


def _begun(node: Node) -> tuple[bool, str | None]:
    """Render the beginnings that still wait for something: whether the empty text is one, and the pattern of the others."""
    match node:
        case Atom():
            return True, None
        case Edge(_, behind):
            return behind, None
        case Choice(ways):
            begun = [_begun(way) for way in ways]
            return any(empty for empty, _ in begun), _either(*(more for _, more in begun))
        case Repeat(inner, _, most):
            return _begun_again(inner, most)
        case Sequence(parts):
            return _begun_all(parts)


def _begun_again(inner: Node, most: int | None) -> tuple[bool, str | None]:
    empty, more = _begun(inner) if most != 0 else (False, None)
    if most is not None and most <= 1:
        return empty, more
    some = _times(_written(inner), 1, None if most is None else most - 1)
    return empty, _either(more, _after(some, _optional(empty, more)))


def _begun_all(parts: tuple[Node, ...]) -> tuple[bool, str | None]:
    empty, more = False, None
    for part in reversed(parts):
        own_empty, own = _begun(part)
        vanishing = _empty(part)
        if vanishing is None:
            longer = _after(_filled(part), _optional(empty, more))
        else:  # what comes behind is written once: twice for each optional part would double with each
            longer = _either(_filled(part) if empty else None, _after(_written(part), more))
        more = _either(own, longer)
        empty = own_empty or (vanishing is not None and empty)
    return empty, more


def _optional(empty: bool, more: str | None) -> str | None:
    if more is None:
        return "" if empty else None
    return f"(?:{more})?" if empty else more
