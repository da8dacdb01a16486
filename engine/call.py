"""The values of one client request: who asks, for what, what it used, how it ended.

Plain slotted classes, standard library only: every layer above may import this file,
and making one costs a quarter of a frozen dataclass on the request path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.allowances import Allowance
    from engine.amounts import Wanted
    from engine.body import Members
    from engine.claims import Counter
    from engine.contracts import Dialect, Hold, Source, TextGuard
    from engine.counting import Counted
    from engine.decision import Decision
    from engine.errand import Errands
    from engine.errors import GatewayError
    from engine.form import Form
    from engine.policy import Policy
    from engine.posting import Row
    from engine.slots import Slots
    from engine.snapshot import Deployment, ModelGroup, Snapshot
    from engine.watched import Watched


class Headers(dict[str, str]):
    """The headers of a request by lower-case name, or of several with the same head.

    `key_hash` keeps the hash of the key that they hold, once it has been computed; `place` says by which setting.
    """

    __slots__ = ("key_hash", "place")

    def __init__(self) -> None:
        super().__init__()
        self.key_hash = ""
        self.place = ""


class Answered(list[tuple[bytes, bytes]]):
    """The headers of an upstream's answer, or of several with the same head; `lines` keeps what clients are told of them."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines = b""


class Usage:
    """Tokens and money of one call.

    Token counts include their parts: `input` holds `cached_input`, `cache_write` and `audio_input`;
    `output` holds `reasoning` and `audio_output`. `cost` is in nano-dollars, None while unpriced. `estimated` marks
    counts of ours, made where the provider's never came, or broke off.
    """

    __slots__ = (
        "audio_input",
        "audio_output",
        "cache_write",
        "cached_input",
        "cost",
        "estimated",
        "input",
        "output",
        "reasoning",
        "service_tier",
        "total",
    )

    def __init__(self, input: int = 0, output: int = 0, total: int = 0) -> None:  # noqa: A002 - the wire's own word
        self.input = input
        self.output = output
        self.total = total or input + output
        self.cached_input = 0
        self.cache_write = 0
        self.reasoning = 0
        self.audio_input = 0
        self.audio_output = 0
        self.service_tier = ""
        self.cost: int | None = None
        self.estimated = False

    units: Mapping[str, int] | None = None
    """What is charged beside tokens, of which only `Measured` has any."""

    def __repr__(self) -> str:
        return f"<Usage in={self.input} out={self.output} cost={self.cost}>"


class Measured(Usage):
    """Usage with more than plain tokens: amounts by what they are of.

    Parts of the tokens: `image_input`, `image_output`, and `cache_write_1h` of `cache_write`. `units` beside them:
    `images` and `input_images`, `characters`, `milliseconds` of what was heard, `spoken` ones of what was said, `searches`,
    `citations` and `queries`. `variant` says what else decides a price: a picture's `quality/size`, how much a search reads.
    """

    __slots__ = ("cache_write_1h", "image_input", "image_output", "units", "variant")

    def __init__(self, input: int = 0, output: int = 0, total: int = 0) -> None:  # noqa: A002 - the wire's own word
        super().__init__(input, output, total)
        self.units: dict[str, int] = {}
        self.variant = ""
        self.image_input = 0
        self.image_output = 0
        self.cache_write_1h = 0


Measure = Callable[["Call", "Usage | None"], "Usage | None"]
"""Adds to the usage that an answer reports what the request says."""


class Caller:
    """Who calls: one key with the user, team and organization behind it.

    `models` is what the key itself may name (empty: all); `team_models` likewise for its team, and so for the others.
    `expires` is in Unix seconds, None for never.
    """

    __slots__ = (
        "access",
        "alias",
        "aliases",
        "allowances",
        "allowed_tags",
        "blocked",
        "counted",
        "expires",
        "granted",
        "guardrails",
        "key_hash",
        "masked",
        "metadata",
        "models",
        "org",
        "org_models",
        "project",
        "role",
        "tags",
        "team",
        "team_blocked",
        "team_models",
        "user",
        "user_models",
        "view",
        "waives",
    )

    def __init__(self, key_hash: str, role: str = "internal_user") -> None:
        self.key_hash = key_hash
        self.role = role
        self.alias = ""
        self.masked = ""
        self.user = ""
        self.team = ""
        self.org = ""
        self.project = ""
        self.guardrails: frozenset[str] = frozenset()
        """Guardrails that the key, its team or its user asks for."""
        self.waives = False
        """Whether it goes without guardrails that are for all but say that they may be waived."""
        self.models: tuple[str, ...] = ()
        self.team_models: tuple[str, ...] = ()
        self.user_models: tuple[str, ...] = ()
        """Of the user, for keys without a team."""
        self.org_models: tuple[str, ...] = ()
        self.access: tuple[Policy, ...] = ()
        """The model lists of key, team, user and organization, compiled (`engine/grants.py`)."""
        self.allowances: tuple[Allowance, ...] = ()
        """What key, user, team, membership and organization may use, compiled (`engine/allowances.py`)."""
        self.aliases: Mapping[str, str] = {}
        self.tags: tuple[str, ...] = ()
        self.allowed_tags: tuple[str, ...] = ()
        """Tags that clients may set with this key."""
        self.metadata: Mapping[str, object] = {}
        self.expires: float | None = None
        self.blocked = False
        self.team_blocked = False
        self.counted: dict[tuple[int, str, tuple[Counter, ...]], Counted] = {}
        """What this caller's calls are counted in, by (snapshot revision, model, counters of policies); see engine/counting.py."""
        self.granted: dict[tuple[int, str], bool] = {}
        """Answers already given for this caller, by (snapshot revision, group); see engine/access.py."""
        self.view: dict[str, Any] | None = None
        """What CEL sees of this caller, once it has been asked for."""

    @property
    def admin(self) -> bool:
        """Whether this caller may do everything."""
        return self.role == "proxy_admin"

    def __repr__(self) -> str:
        return f"<Caller {self.alias or self.key_hash[:8]} team={self.team!r} role={self.role}>"


MEDIA = frozenset({"audio", "images"})
"""Operations whose requests may be forms and whose answers may be binary."""


class Route:
    """One route of traffic for models: what it does and in which dialect it is spoken.

    `task` says it more closely than `operation` where one operation has several paths. `media` routes take forms
    beside JSON and may answer with what is not text; their `measure` knows of a request what is charged for.
    `tunnels` tells that it grants WebSocket, `passes` that its requests go on as they come (`engine/passages.py`). Of those
    bodies may be anything: `spoken` tells that they are what the dialect says; `asked` and `answered` say where their texts
    stand where that is declared, `guardrails` which the passage asks for.
    """

    __slots__ = (
        "answered",
        "asked",
        "dialect",
        "guardrails",
        "measure",
        "media",
        "operation",
        "passes",
        "path",
        "spoken",
        "task",
        "tunnels",
    )

    def __init__(self, path: str, operation: str, dialect: Dialect, task: str = "") -> None:
        self.path = path
        self.operation = operation
        self.dialect = dialect
        self.task = task or operation
        self.media = operation in MEDIA
        self.measure: Measure | None = None
        self.passes = False
        self.spoken = True
        self.asked: Slots | None = None
        self.answered: Slots | None = None
        self.guardrails: frozenset[str] = frozenset()
        self.tunnels = False

    def __repr__(self) -> str:
        return f"<Route {self.path} {self.task}>"


class Account:
    """What a call has to do with the ledger.

    `hold` is what its last attempt was granted, `open` until that is settled or given back, `wanted` what it was granted for
    where anything of it is counted; `shortest` the output limit that the upstream is sent instead of the client's, for what
    remains pays for no more. `counted` is the attempt that counted as the request, `written` is set once the spend row is;
    `held` says in which counters, `until` to when it counts there, `row` is the spend row as far as it is known. `begun` is to be
    asked before the first byte goes upstream, and returns the error for which none may.
    """

    __slots__ = (
        "answer_id", "begun", "counted", "end_user", "held", "hold", "open", "row", "shortest", "until", "wanted", "written",
    )  # fmt: skip

    def __init__(self) -> None:
        self.hold: Hold | None = None
        self.open = self.written = False
        self.counted = 0
        self.wanted: Wanted | None = None
        self.held: Counted | None = None
        self.until: Sequence[int] = ()
        self.row: Row | None = None
        self.shortest: int | None = None
        self.end_user = ""
        self.begun: Callable[[], Exception | None] | None = None
        self.answer_id = ""
        """The id in the answer's body."""

    def __repr__(self) -> str:
        return f"<Account {self.hold} open={self.open}>"


class Call:
    """One client request, from its arrival to its last byte.

    Times are `loop.time()` seconds but `time`, which is Unix seconds. Every stage of the request path fills
    in its part: identify `caller`, receive `members`, route `group`, forward `deployment` and `usage`.
    `form` is set on `media` routes only, by receive.
    """

    __slots__ = (
        "account",
        "address",
        "arrived",
        "attempt",
        "body_size",
        "caller",
        "candidates",
        "counters",
        "decision",
        "deployment",
        "errands",
        "error",
        "first_byte",
        "form",
        "group",
        "guards",
        "headers",
        "id",
        "legible",
        "members",
        "method",
        "model",
        "model_asked",
        "path",
        "path_model",
        "route",
        "route_reason",
        "snapshot",
        "source",
        "status",
        "stream",
        "time",
        "upstream_seconds",
        "usage",
        "wants_usage",
        "watched",
    )

    def __init__(self, call_id: str, route: Route, snapshot: Snapshot, source: Source) -> None:
        self.id = call_id
        self.route = route
        self.snapshot = snapshot
        self.headers = source.headers
        self.method = "POST"
        self.path = route.path
        self.path_model = ""
        self.address = ""
        self.arrived = 0.0
        self.time = 0.0
        self.first_byte = 0.0
        self.upstream_seconds = 0.0
        self.source = source
        self.body_size = 0
        self.members: Members = {}
        """The body's top-level members as undecoded JSON (`msgspec.Raw`), in the order they came."""
        self.form: Form | None
        self.legible = True
        """Whether `members` are all that the body is; not of one that goes on as it came and is no JSON object."""
        self.caller: Caller | None = None
        self.model = ""
        self.model_asked = ""
        """The model's name as the client wrote it, before aliases and routing."""
        self.stream = False
        self.wants_usage = False
        self.group: ModelGroup | None = None
        self.candidates: tuple[Deployment, ...] = ()
        """The deployments of the group that policies leave; empty: all of them."""
        self.counters: tuple[Counter, ...] = ()
        """What policies count this call in, beside what its caller may use."""
        self.route_reason = ""
        self.decision: Decision | None = None
        self.deployment: Deployment | None = None
        self.account = Account()
        self.guards: tuple[TextGuard, ...] = ()
        self.errands: Errands | None = None
        """What makes the calls that this one needs made."""
        self.watched: Watched | None = None
        """The guardrails that are at work; None where there are none."""
        self.attempt = 0
        self.usage: Usage | None = None
        self.status = 0
        self.error: GatewayError | None = None

    def __repr__(self) -> str:
        return f"<Call {self.id} {self.route.operation} model={self.model!r} status={self.status}>"
