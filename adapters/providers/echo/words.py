"""How the echo provider counts: a word is a token."""

from __future__ import annotations

from typing import Any


class Words:
    """Counts the words of a text; one that goes on in the next piece counts once."""

    __slots__ = ("_within",)

    def __init__(self) -> None:
        self._within = False

    def __call__(self, piece: str) -> int:
        """Return how many words begin in a piece."""
        if not piece:
            return 0
        begun = len(piece.split()) - (self._within and not piece[0].isspace())
        self._within = not piece[-1].isspace()
        return begun


def words(given: object) -> int:
    """Count the words of what is to be embedded; tokens that are numbers already count one each."""
    texts = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
    return sum(
        len(text.split()) if isinstance(text, str) else len(text) for text in texts if isinstance(text, str | list)
    )


def messages(request: dict[str, Any]) -> list[tuple[str, str]]:
    """List role and text of all that was said, whichever member holds it."""
    given = request.get("messages", request.get("input", request.get("prompt", "")))
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    said = [("system", str(request["instructions"]))] if request.get("instructions") else []
    for message in given if isinstance(given, list) else ():
        if isinstance(message, dict):
            said.append((str(message.get("role", "user")), _text(message.get("content"))))
        else:
            said.append(("user", str(message)))
    return said


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
