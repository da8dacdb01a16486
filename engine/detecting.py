"""What finds in texts what must not pass: the port of detectors, `adapters/detectors/<name>.py`.

A detector is made at load of what is written under its name in `detect` (`{pii: [EMAIL_ADDRESS]}` makes `Pii` of the list), and
raises ValueError that says what is wrong. It keeps nothing of the texts that it sees, so that calls share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

MOST = 512
"""Characters that a hit without a bound of its own may have; what grows beyond is acted upon as it stands (`maxLength`)."""


class Hit(NamedTuple):
    """What was found, from character `start` to before `end`: its `type` is a name that operators know (`EMAIL_ADDRESS`).

    `score` is how sure the detector is, from 0 to 1.
    """

    start: int
    end: int
    type: str
    score: float = 1.0


class Detector(Protocol):
    """Finds by looking at the text alone."""

    types: Sequence[str]
    """What it can find."""
    whole: bool
    """Whether it speaks of a text as a whole, which must all be there: its hits then span it."""
    longest: int
    """The most characters that a hit can have; meaningless where it is `whole`."""

    def __init__(self, said: Any) -> None: ...

    def find(self, text: str, start: int = 0) -> Sequence[Hit]:
        """Return all hits by where they start, from `start` on; they may overlap. Never raises, whatever the text; linear in its length.

        What stands before `start` is only what stands before: the last `engine.scanning.AROUND` characters of it at most.
        """

    def pending(self, text: str, start: int = 0) -> int:
        """Return the first place, from `start` on, from which on the end of a text could become a hit, or a longer one, were there more.

        The text's length where that cannot be. What lies before is settled: no text behind changes what is found in it, no hit
        that starts before ends behind, and `find` from there on finds what it would have found from `start` on.
        """


class Whole(NamedTuple):
    """A request or an answer as it is, decoded; it is the gateway's own, and whoever would change it changes a copy."""

    request: Mapping[str, Any]
    body: Any
    """What the texts stand in: the request itself, or its answer."""
    places: Sequence[tuple[Any, Any]]
    """Of each text of the question the object or list that holds it in `body`, and where in there it stands."""


class Question(NamedTuple):
    """What a remote detector is asked: texts of one phase of a call, and what the guardrail says beside them."""

    phase: str
    """`input`, `output`, `toolCalls` or `toolResults`."""
    texts: Sequence[str]
    model: str = ""
    whole: Callable[[], Whole] | None = None
    """Gives all of the body in which the texts stand; None where there is none."""
    metadata: Mapping[str, Any] = {}
    """What is known of the call: `extra_body` and `guardrail_config` are what a client sent for this guardrail.

    All else is the gateway's own: `user_api_key_*` says who asks, `litellm_call_id` which call it is.
    """

    @property
    def request(self) -> Mapping[str, Any]:
        """Return the call's request, decoded; empty where a text is not of a call."""
        return self.whole().request if self.whole is not None else {}


class Finding(NamedTuple):
    """What a service said of one text: hits within it, a text to put in its place, and whether it is not to pass at all."""

    hits: Sequence[Hit] = ()
    replacement: str | None = None
    refused: str = ""
    """Why it must not pass; empty where it may."""


class RemoteDetector(Protocol):
    """Finds by asking a service. The caller keeps the deadline; `ask` raises DetectorError for whatever goes wrong."""

    async def ask(self, question: Question) -> Sequence[Finding]:
        """Return a finding for each text, in their order."""


def sides(detector: RemoteDetector) -> frozenset[str] | None:
    """Return whether a detector wants each call once as a whole: `input` for requests, `output` for answers, with all texts.

    It says so by an attribute `sides`; None for the others, which are asked about the texts of each phase by themselves.
    """
    found: frozenset[str] | None = getattr(detector, "sides", None)
    return found


class Blocked(Exception):  # noqa: N818 - a finding, not a fault
    """A text must not go on; says what of, never the text."""

    def __init__(self, type_: str, detector: str) -> None:
        super().__init__(f"`{type_}` found by `{detector}`")
        self.type = type_
        self.detector = detector


class DetectorError(Exception):
    """A service could not be asked, or did not answer as it should; the message says which and why, without any text."""
