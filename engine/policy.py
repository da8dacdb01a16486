"""What a kind of policy is: the contract of every file in `policies/`.

A kind is a frozen dataclass that inherits from `Policy`, reads its own fields of a document through a `Reader`, and
takes part in a call by the hooks that it overrides. It compiles nothing and looks nothing up when a call comes: what a
hook needs was decided in `read`. Policies are made in another process and sent here, so all they hold can be pickled.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

from engine.activation import Activation
from engine.expr.program import ERRORS, Program
from engine.expr.schema import BOOL, Type

if TYPE_CHECKING:
    from engine.limit import Limit
    from engine.snapshot import ModelGroup

ROUTES = (
    "chat",
    "completions",
    "embeddings",
    "responses",
    "images",
    "audio",
    "moderations",
    "rerank",
    "messages",
    "realtime",
    "pass-through",
)
"""What a call can be for: the values of `request.route` and `match.routes`."""

Ref = tuple[str, ...]
"""A path that an expression reads: `("llm", "params", "max_tokens")`."""


class Phase(enum.StrEnum):
    """When an expression is evaluated, which decides what it may read."""

    REQUEST = "request"
    CHANGE = "change"
    ROUTED = "routed"
    RESPONSE = "response"


class Expression(NamedTuple):
    """A compiled CEL expression and where it is written."""

    program: Program
    place: str
    field: str

    def value(self, activation: Activation) -> Any:
        """Evaluate within a hook; an error that leaves the hook says where it comes from."""
        try:
            return self.program.evaluate(activation)
        except ERRORS as error:
            error.add_note(self.explained(error))
            raise

    def explained(self, error: BaseException) -> str:
        """Say what went wrong and where, without any value."""
        fault = self.program.explain(error)
        return f"{fault.message} ({self.field} at {self.place}, {fault.line}:{fault.column})"


class Effect(enum.StrEnum):
    """What a rule is for."""

    DENY = "deny"
    REQUIRE = "require"
    ALLOW = "allow"


class Action(enum.StrEnum):
    """What is done about a finding."""

    DENY = "Deny"
    WARN = "Warn"
    AUDIT = "Audit"


class Rule(NamedTuple):
    """One condition for a call to go on.

    It is an `expression`, or a `test` of the kind's own. `message` is said to the caller when the rule refuses, `says` computes it instead;
    without either the policy's name must do.
    """

    name: str
    effect: Effect
    expression: Expression | None = None
    test: Callable[[Activation], bool] | None = None
    message: str = ""
    says: Expression | None = None
    status: int = 403
    standing: bool = False
    """Whether the model alone decides, so that `Policy.admits` answers for the rule."""


class Direction(NamedTuple):
    """Where a call is sent: to deployments with these tags (any of them, or all), or to another model.

    Where no deployment has the tags the call is refused, but with `else_default` those tagged `default` answer;
    `else_all` lets every one answer if there is none of those.
    """

    rule: str
    tags: tuple[str, ...] = ()
    match_any: bool = True
    model: str = ""
    else_default: bool = False
    else_all: bool = False


class Passage(NamedTuple):
    """Requests under a path that go on to another server as they come; texts may hold `os.environ/NAME`.

    `forward` names the client's headers that go on, None for all; `timeout` is in seconds, 0 for the usual. `cost` is in USD.
    """

    path: str
    target: str
    subpaths: bool = True
    methods: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    forward: tuple[str, ...] | None = ()
    query: tuple[tuple[str, str], ...] = ()
    merge_query: bool = True
    auth: bool = True
    key_header: str = ""
    cost: Expression | None = None
    timeout: float = 0.0
    allow_link_local: bool = False
    guardrails: tuple[str, ...] = ()
    """Guardrails that the passage asks for."""
    asked: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    """Where the texts of requests and answers stand that guardrails look at, as paths (`engine.slots`); none: where they usually do."""


class Detect(NamedTuple):
    """One detector of a guardrail, by its name and what is written for it, and what is done with what it finds."""

    detector: str
    said: Any
    name: str
    """What findings are called where the detector has no names of its own."""
    action: str
    """`mask`, `block` or `log`."""
    mask_with: str = ""
    replace: str = ""
    """CEL over `text` and `type`: what takes a hit's place, instead of a mask."""
    window: int = 0
    """Characters of the windows that a detector sees of a stream which wants texts whole; 0: all of it."""
    field: str = ""
    """Where it is written, for problems."""


class Watch(NamedTuple):
    """What is looked for in the texts of calls, and when.

    An `optional` one is at work only for calls that name it. `restore` puts what was masked of a request back into the answer.
    One that is `parallel` asks services about a request while that is on its way; the answer waits for what they say.
    """

    phases: frozenset[str]
    detects: tuple[Detect, ...]
    optional: bool = False
    restore: bool = False
    message: str = ""
    status: int = 400
    timeout: float = 2.0
    parallel: bool = False
    waivable: bool = False
    """Whether keys and teams may go without it (`disable_global_guardrails`)."""

    @property
    def observes(self) -> bool:
        """Whether it only puts on record what it finds."""
        return all(one.action == "log" for one in self.detects)


class Edit(NamedTuple):
    """One change of a request member; `path` leads into it, no `value` (`REMOVED`) takes it away."""

    path: tuple[str, ...]
    value: object
    """A value of JSON, `REMOVED`, or JSON already written (`msgspec.Raw`)."""


REMOVED = object()
NO_VARIABLES: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Match:
    """Which calls a policy governs by what is known before anything is evaluated; an empty field matches all.

    Names may hold `*`; `@name` in `models` is an access group.
    """

    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    orgs: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """What every policy has, whatever its kind.

    `refs`, `loops` and `patterns` sum up all its expressions: what they read and how long they may take.
    `digest` identifies the document's content.
    """

    kind: str
    name: str
    place: str
    match: Match = Match()
    conditions: tuple[tuple[str, Expression], ...] = ()
    variables: tuple[tuple[str, Expression], ...] = ()
    ignore_errors: bool = False
    action: Action = Action.DENY
    refs: frozenset[Ref] = frozenset()
    loops: int = 0
    patterns: int = 0
    digest: str = ""


class Reader(Protocol):
    """Reads one mapping of a policy document, field by field.

    A field that is asked for is known; one that nobody asked for is an error. A value of a wrong type is reported
    with its place and read as absent, so that all problems of a document come at once.
    """

    def has(self, name: str) -> bool:
        """Tell whether a field is written."""

    def text(self, name: str, default: str = "") -> str:
        """Read text."""

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read true or false."""

    def is_flag(self, name: str) -> bool:
        """Tell whether a field is written as true or false, where it may be something else as well."""

    def number(self, name: str, default: float = 0.0, *, least: float = 0.0, most: float = float("inf")) -> float:
        """Read a number within bounds."""

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Read one of some words."""

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts; one text alone is a list of it."""

    def each(self, name: str) -> Sequence[Reader]:
        """Read a list of mappings."""

    def mapping(self, name: str) -> Reader:
        """Read a mapping; an empty one when it is not there."""

    def value(self, name: str) -> Any:
        """Return what is written of any form, for whoever knows it; None where there is nothing."""

    def names(self) -> Sequence[str]:
        """Name the fields that are written, for a mapping whose keys the user chooses."""

    def cel(self, name: str, expects: Type = BOOL, *, phase: Phase = Phase.REQUEST) -> Expression | None:
        """Compile an expression; None when it is not there or does not compile. A number or a flag is one, too."""

    def fault(self, message: str, name: str = "") -> None:
        """Report a problem of a field, or of the whole mapping."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy document, compiled. A kind overrides what it takes part in.

    The hooks are called for calls that `head` governs only, in the order of files and then names.
    """

    head: Head
    leases: ClassVar[bool] = False
    """Whether `failurePolicy: Local` means something: calls may go on, within a share held ahead, while counters are away."""

    @classmethod
    def read(cls, head: Head, fields: Reader) -> Self:
        """Read a kind's own fields; faults are reported to the reader, never raised."""
        raise NotImplementedError

    @classmethod
    def reads(cls) -> frozenset[Ref]:
        """Name what the hooks themselves read of an activation, beside expressions."""
        return frozenset()

    def rules(self) -> Sequence[Rule]:
        """List the conditions for a call to go on."""
        return ()

    def admits(self, model: str, group: ModelGroup) -> bool:
        """Tell whether a model may be called at all, as far as that does not depend on the call."""
        del model, group
        return True

    def targets(self) -> Sequence[str]:
        """Name the models that calls may be sent to; each must exist."""
        return ()

    def tags(self) -> Sequence[str]:
        """Name the tags of deployments that calls may be sent to; there should be some."""
        return ()

    def view(self, activation: Activation) -> Mapping[str, Any]:
        """Say which variables look different to `direct`, the conditions and variables of this policy."""
        del activation
        return NO_VARIABLES

    def direct(self, activation: Activation) -> Direction | None:
        """Choose where a call is sent; None leaves it to the next policy."""
        del activation
        return None

    def idle(self, activation: Activation) -> bool:
        """Tell whether `direct` leaves every call alone in which the attributes of `head.refs` are these."""
        del activation
        return False

    def steady(self) -> frozenset[Ref] | None:
        """Name what `edits` depend on beside `head.refs`; None where they depend on more than attributes."""
        return None

    def edits(self, activation: Activation) -> Sequence[Edit]:
        """Say what to change of a request's members."""
        del activation
        return ()

    def limits(self) -> Sequence[Limit]:
        """Say what calls may use; the ledger holds it before they are sent on."""
        return ()

    def watch(self) -> Watch | None:
        """Say what must not pass in the texts of calls."""
        return None

    def passage(self) -> Passage | None:
        """Say which requests go on to another server as they come."""
        return None

    def log(self) -> Log | None:
        """Say how calls are recorded."""
        return None


@dataclass(frozen=True, slots=True)
class Log:
    """How a call is recorded: with content or its hash, not at all where one of `drops` holds, without what `mask` names."""

    content: bool = False
    drops: tuple[Expression, ...] = ()
    mask: tuple[tuple[str, Expression | None], ...] = ()
