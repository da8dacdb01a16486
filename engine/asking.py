"""How a remote detector asks its service: JSON by POST, an answer of bounded size that is what it should be, or DetectorError.

Nothing is asked twice, and the caller keeps the deadline: cancelling an `ask` cuts its connection. No message of an error
quotes what was sent or what came back, so that neither a text nor a key gets into a log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import msgspec
import orjson

from engine.detecting import DetectorError, Finding, Question, RemoteDetector
from engine.errors import UpstreamError
from engine.outbound import Address, Http, HttpRequest, Timeouts

LARGEST = 1 << 20
"""Bytes that an answer may have."""
AT_ONCE = 8
"""Questions of one call that a service which takes one text at a time is asked side by side."""
_HINTS = {
    401: ": it does not know the key",
    403: ": it knows the key, and refuses it",
    404: ": nothing is at that address",
    413: ": the question is too large for it",
    429: ": it is asked too often",
}
T = TypeVar("T")
Complete = Callable[[bytes], Awaitable[bytes]]
"""Takes the body of a chat completion and returns that of its answer; raises GatewayError."""


@runtime_checkable
class Judging(Protocol):
    """A detector that asks a model: whose calls they are is known only with the call that is judged."""

    def through(self, complete: Complete) -> RemoteDetector:
        """Return the detector that asks through `complete`."""


class Service(Generic[T]):
    """One address of a service, and what it answers; the request's head is composed at load.

    `answer` is a type that msgspec reads. Raises ValueError for a header that cannot be sent.
    """

    __slots__ = ("_answer", "_head", "_http", "_origin", "_target", "name")

    def __init__(self, name: str, http: Http, place: Address, answer: type[T], headers: Mapping[str, str]) -> None:
        self.name = name
        self._http = http
        self._origin = place.origin
        self._target = f"{place.path}{f'?{place.query}' if place.query else ''}".encode("ascii")
        self._answer = msgspec.json.Decoder(answer)
        self._head = _head({"host": place.host, "user-agent": "interlock", **_JSON, **headers})

    async def ask(self, question: Any) -> T:
        """Ask what JSON can say, and read the answer."""
        return await self.post(self.written(question))

    def written(self, question: Any) -> bytes:
        """Write a question as JSON."""
        try:
            return orjson.dumps(question)
        except TypeError:  # orjson's error for what JSON cannot say, half a surrogate pair among it
            raise DetectorError(f"`{self.name}` was not asked: the question cannot be written as JSON") from None

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> T:
        """Send a body, with headers of its own, and read the answer."""
        head = self._head + _head(headers) if headers else self._head
        answer = await self._exchanged(HttpRequest(self._origin, self._target, head, (body,), Timeouts()))
        return read(self.name, answer, self._answer)

    async def _exchanged(self, request: HttpRequest) -> bytes:
        try:
            upstream = await self._http.send(request)
            try:
                if not 200 <= upstream.status < 300:
                    raise DetectorError(f"`{self.name}` answered {upstream.status}{_HINTS.get(upstream.status, '')}")
                answer = await upstream.read(LARGEST)
            finally:
                upstream.close()
        except UpstreamError as error:
            raise DetectorError(f"`{self.name}` could not be asked: {error.message}") from error
        if answer is None:
            raise DetectorError(f"`{self.name}` answered more than {LARGEST} bytes")
        return answer


_JSON = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "identity"}


def _head(headers: Mapping[str, str]) -> bytes:
    for name, value in headers.items():
        if any(not 32 <= ord(character) <= 126 for character in name + value) or set(name) & set(" :"):
            raise ValueError(f"headers: `{name}` or its value holds characters that no header can")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


def read(name: str, answer: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read an answer; raises DetectorError that says what is wrong with it, and where."""
    try:
        return decoder.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, msgspec.DecodeError) else "it is not JSON"
        raise DetectorError(f"`{name}` did not answer as it should: {reason}") from None


def spanned(name: str, text: str, start: int, end: int) -> None:
    """Refuse a hit that does not lie within its text."""
    if not 0 <= start < end <= len(text):
        raise DetectorError(f"`{name}` did not answer as it should: a hit does not lie within its text")


async def each(ask: Callable[[str], Awaitable[Finding]], texts: Sequence[str]) -> list[Finding]:
    """Ask for each text on its own, a few side by side; a blank text holds nothing and is not asked for."""
    found = [Finding()] * len(texts)
    spoken = [place for place, text in enumerate(texts) if text.strip()]
    if len(spoken) == 1:  # needs no task
        found[spoken[0]] = await ask(texts[spoken[0]])
        return found
    for first in range(0, len(spoken), AT_ONCE):
        places = spoken[first : first + AT_ONCE]
        # All are waited for, also where one fails: none goes on behind the caller's back.
        answers = await asyncio.gather(*(ask(texts[place]) for place in places), return_exceptions=True)
        for place, answer in zip(places, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            found[place] = answer
    return found


async def together(ask: Callable[[list[str]], Awaitable[Sequence[Finding]]], texts: Sequence[str]) -> list[Finding]:
    """Ask for all texts at once; blank texts are left out, and where there are no others nothing is asked."""
    found = [Finding()] * len(texts)
    spoken = [place for place, text in enumerate(texts) if text.strip()]
    if spoken:
        for place, finding in zip(spoken, await ask([texts[place] for place in spoken]), strict=True):
            found[place] = finding
    return found


def pieces(text: str, most: int, overlap: int) -> list[str]:
    """Cut a text into pieces that a service takes; each begins with the end of the one before, so that no seam hides anything."""
    if len(text) <= most:
        return [text]
    return [text[start : start + most] for start in range(0, len(text) - overlap, most - overlap)]


def answered(question: Question) -> bool:
    """Tell whether the texts are a model's own, not what it is told."""
    return question.phase in {"output", "toolCalls"}
