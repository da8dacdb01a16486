"""What an extension implements and what it is given: every port of the gateway on one page.

Adapters and policies import this file (and `call`, `errors`, `frames`, `holdback`), never each other and never
the engine above it. Everything here is a protocol or a value; nothing here does I/O.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from engine.call import Call, Usage
from engine.claims import Claim, Count, Counter, Counters, CountersError, Hold, HoldId, Overrun, Past, Refused, Unit
from engine.detecting import Detector, RemoteDetector
from engine.errors import GatewayError
from engine.outbound import Address, Http, HttpRequest, Origin, Pieces, Timeouts, Tunnel, Upload, Upstream, address
from engine.slots import Repeats, Slots

if TYPE_CHECKING:
    from engine.body import Members
    from engine.policy import Policy
    from engine.storing import Store

__all__ = [
    "EVERY",
    "WHOLE",
    "Address",
    "Arrival",
    "Channel",
    "Claim",
    "Clock",
    "Count",
    "Counter",
    "Counters",
    "CountersError",
    "Deps",
    "Dialect",
    "Endpoint",
    "Frame",
    "Hold",
    "HoldId",
    "Http",
    "HttpRequest",
    "Meter",
    "Origin",
    "Overrun",
    "Past",
    "Pieces",
    "Provider",
    "Random",
    "Refused",
    "Registry",
    "Reply",
    "Sink",
    "Source",
    "Target",
    "TextGuard",
    "TextSlot",
    "Timeouts",
    "Tunnel",
    "Unit",
    "Upload",
    "Upstream",
    "address",
]  # fmt: skip

# --- the outside world, injectable -------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, so that tests can turn it."""

    def time(self) -> float:
        """Return Unix seconds."""

    def monotonic(self) -> float:
        """Return seconds that never go back; their zero means nothing."""


class Random(Protocol):
    """Chance, so that tests can fix it."""

    def random(self) -> float:
        """Draw from [0, 1)."""


# --- providers ---------------------------------------------------------------------------------------------------


class Target(NamedTuple):
    """What a deployment says of its upstream; `params` is `litellm_params` with secrets resolved."""

    model: str
    params: Mapping[str, Any]
    timeouts: Timeouts
    stream_timeouts: Timeouts


Meter = Callable[[str], int]
"""Takes the next piece of a text and returns how many tokens more it has."""


class Endpoint(Protocol):
    """One deployment's upstream, ready to be called: everything constant is composed at load."""

    api_base: str
    unsupported: frozenset[str]
    """Request members that this model refuses; left out where the configuration says `drop_params`."""
    drops: frozenset[str]
    """Request members that this provider never takes."""
    renames: Sequence[tuple[str, str]]
    """Request members that this provider has under another name."""
    secrets: tuple[bytes, ...]
    """Credentials that the upstream is sent, and that no client may be shown when an upstream quotes them."""
    asks_first: bool
    """Whether `send` hands `call.account.begun` on with its request; without, it is asked before."""

    def input_tokens(self, call: Call) -> int | None:
        """Return the input tokens that the provider will count, where it counts as we can; None where that is a guess."""

    def meter(self) -> Meter | None:
        """Return what counts the tokens of a text that grows, exactly as the provider will; None where that is a guess."""

    async def send(self, call: Call, body: Pieces) -> Upstream:
        """Send one request body for `call.route.task`; raises UpstreamError."""

    def offer(self, call: Call, query: str) -> HttpRequest | None:
        """Compose the offer to speak WebSocket, but for its own headers; None where the provider does not speak it.

        `query` holds what the client asks beside the model.
        """


class Provider(Protocol):
    """How to reach one vendor."""

    stream_usage: Literal["inject", "always", "never"]
    """How a stream comes to report usage: asked for by a request member, always there, or not to be had."""

    def __init__(self, deps: Deps) -> None: ...

    def endpoint(self, target: Target) -> Endpoint:
        """Compose an endpoint at load; raises ValueError naming the parameter that is missing or wrong."""


# --- dialects and streams ----------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """One event of a stream: its bytes as they came, and its `data` and `event` fields."""

    raw: bytes
    data: bytes
    event: bytes = b""


class Channel(enum.StrEnum):
    """What a piece of streamed text is."""

    CONTENT = "content"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    TOOL_ARGUMENTS = "toolArguments"
    TRANSCRIPT = "transcript"


class TextSlot(NamedTuple):
    """One piece of text in a frame: which text it continues (`channel`, `choice`, `index`) and by what."""

    channel: Channel
    choice: int
    index: int  # type: ignore[assignment]  # the wire's own word; nobody searches a slot
    text: str


WHOLE = 1 << 20
"""The index from which on texts are that a frame says whole."""
EVERY = (-1,)
"""What `Dialect.ends` says of a frame that ends the whole stream."""


class Dialect(Protocol):
    """One wire format as clients speak it."""

    usage_pattern: re.Pattern[bytes]
    """What every frame with usage contains: bytes without a match are never decoded for it.

    It matches the name of a member and the brace that opens its object.
    """
    asks: frozenset[str]
    """The members of a request that hold all that its prompt says."""
    asked: Slots
    """Where the texts of a request stand."""
    answered: Slots
    """Where the texts of a whole answer stand."""
    repeated: Repeats
    """What of an answer says its texts again, by path: it goes where a text is changed."""

    def prompt(self, members: Members) -> list[dict[str, str]]:
        """List what a request asks, as messages of `role` and `content`, the content always text."""

    def tools(self, members: Members) -> list[dict[str, str]]:
        """List the tools that a request offers, each by its `name`."""

    def usage(self, answer: bytes) -> Usage | None:
        """Read the usage of a whole JSON answer; None when there is none."""

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read a frame's usage, and whether the frame says nothing else (and may be dropped).

        It is `estimated` where the output is only begun, and what a later frame reports must complete it.
        """

    def merged(self, earlier: Usage, later: Usage) -> Usage:
        """Combine what two frames of one stream report; where every report is whole, that is the later."""

    def ends(self, frame: Frame) -> tuple[int, ...]:
        """Name the choices whose texts end with this frame; `EVERY` when the stream does."""

    def texts(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the texts that a frame continues, in wire order."""

    def repeats(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the texts that a frame says whole: over again, or all at once. Each has an index of its own, from `WHOLE` on."""

    def replace(self, frame: Frame, slots: Sequence[TextSlot]) -> bytes:
        """Rebuild a frame with other text in its slots; all else stays as it came."""

    def finish(self, frame: Frame, reason: str) -> bytes:
        """Write the frames that end a stream early, in the manner of `frame`, its last one."""

    def error(self, error: GatewayError) -> bytes:
        """Render an error as a whole answer."""

    def stream_error(self, error: GatewayError) -> bytes:
        """Render an error as the last frames of a stream that has begun."""

    def is_error(self, answer: bytes) -> bool:
        """Tell whether an upstream's error answer already is in this dialect."""


class TextGuard(Protocol):
    """Watches the texts of a stream as they grow; holds back what could still become a match."""

    def feed(self, slot: TextSlot) -> str:
        """Take the next piece of a text; return what may leave now."""

    def flush(self, channel: Channel, choice: int, index: int) -> str:
        """Return what is still held of a text that ends here."""


class Source(Protocol):
    """Where a client's request comes from: its headers are there, its body may still be on the way.

    `target` is the request line's; `port` the client's.
    """

    @property
    def target(self) -> str:
        """Return the path and query that were asked for."""

    @property
    def port(self) -> int:
        """Return the port of the client's address, 0 when nobody knows it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers; names compare without case."""

    def at_hand(self) -> bytes | None:
        """Return the whole body if it has arrived already."""

    async def read(self, limit: int) -> bytes:
        """Wait for the whole body; raises ClientError (413 over `limit` bytes, 415, 400 broken off)."""

    async def whole(self, limit: int) -> bytes:
        """Wait for the whole body, decoded, whatever it is of; raises as `read`."""


class Reply(Protocol):
    """The way back to the client. `headers` are whole lines (`name: value CRLF`), without framing headers."""

    started: bool

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """Write a whole answer in one piece."""

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Write the head of an answer; None where nobody knows its length, -1 where there is no body to come."""

    def write(self, data: bytes) -> bool:
        """Write a piece of the body; False asks to `drain` before the next."""

    async def drain(self) -> None:
        """Wait until the client has taken enough."""

    def end(self) -> None:
        """Write the end of a body that `start` began."""


class Arrival(Source, Reply, Upload, Protocol):
    """A request that can go on as it came, and the way back to its client."""

    @property
    def upgrades(self) -> bool:
        """Whether the client offers WebSocket."""

    def here(self) -> bytes | None:
        """Return the whole body, as it came, if it has arrived."""

    async def join(self, tunnel: Tunnel, headers: bytes) -> None:
        """Grant the client's offer and carry bytes both ways until either side ends."""


# --- records -----------------------------------------------------------------------------------------------------


class Sink(Protocol):
    """Where records go; called by the record writer only, off the request path."""

    def __init__(self, settings: Mapping[str, Any]) -> None: ...

    def write(self, records: Sequence[bytes]) -> None:
        """Write JSON lines durably enough to outlive the process; raises OSError."""

    def close(self) -> None:
        """Flush and let go."""


# --- what an extension is given ----------------------------------------------------------------------------------


class Deps(NamedTuple):
    """What an extension may use."""

    clock: Clock
    random: Random
    http: Http
    environ: Mapping[str, str]


class Registry(Protocol):
    """Extensions by kind and name, imported on first use; each raises LookupError with a suggestion."""

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the environment that extensions see."""

    def provider(self, name: str) -> Provider:
        """Return a provider, by the prefix of a model string."""

    def dialect(self, name: str) -> Dialect:
        """Return a wire format."""

    def sink(self, name: str, settings: Mapping[str, Any]) -> Sink:
        """Make a record sink."""

    def counters(self, name: str, clock: Clock, settings: Mapping[str, Any] | None = None) -> Counters:
        """Make the place where counters live; raises ValueError for settings that are none."""

    def store(self, name: str, settings: Mapping[str, Any]) -> Store:
        """Open a store; raises StoreError."""

    def detector(self, name: str, said: Any) -> Detector:
        """Make a detector of what is written for it, once for the same text.

        Raises ValueError for what is wrong with it, LookupError for one that nobody has.
        """

    def remote_detector(self, name: str, settings: Mapping[str, Any], deps: Deps | None = None) -> RemoteDetector:
        """Make what asks a service about texts; raises ValueError naming the setting that is missing or wrong."""

    def kind(self, name: str) -> type[Policy]:
        """Return a kind of policy, by its name in YAML."""

    def provider_names(self) -> Sequence[str]:
        """Name every provider."""
