"""Test files of policies: `*_test.yaml`, each a list of cases.

    tests:
      - name: trial keys have no shell tools
        caller: trial-anna                     # the alias of a key of config.yaml, or the fields of a key:
        # caller: {alias: x, team: trial, tags: [a], metadata: {plan: trial}}
        request:
          path: /v1/chat/completions           # the default; `method` is POST
          headers: {x-tenant: acme}
          body: {model: assistant, messages: [{role: user, content: hi}]}
        clock: "2026-01-12T09:00:00Z"          # what `now` and `request.time` are; by default it is now
        counters: [{policy: team-month, values: [research], used: 99.5}]   # what was used before, money in USD
        upstream: {status: 200, headers: {}, body: {}}   # what the provider answers; by default something small
        expect:
          decision: deny                       # or allow: sent on to an upstream
          status: 403
          rule: shell-tools/no-shell           # the rules that decided, one or a list, in any order
          model: assistant                     # the model that the call went to at last
          tags: [canary]                       # the deployments' tags that a route asked for
          message: no shell tools              # is contained in what the caller is told; with `=` before it, is all of it
          headers: {x-interlock-warning: =…}   # of the answer, compared alike; null: there is none
          body: {max_tokens: 256, user: null}  # members as they are sent upstream; null: there is none

The share of calls that a route's `weight` takes is drawn by the case's name: a case is always sent the same way.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from engine.authoring.trial import Before
from engine.authoring.upstream import Canned
from engine.config.problems import Mark, Problem, kind_of_value, nearest
from engine.config.yaml import parse
from engine.documents.files import TESTS
from engine.documents.reader import PHASES, FieldReader, Sheet

PATH = "/v1/chat/completions"
CALLER = {"alias": "key_alias", "team": "team_id", "user": "user_id", "org": "organization_id", "project": "project_id"}
"""The fields of a caller as CEL names them -> as a key's entry in the configuration does."""
DECISIONS = ("allow", "deny")
_ROLES = ("proxy_admin", "proxy_admin_viewer", "org_admin", "internal_user", "internal_user_viewer", "team", "customer")


@dataclass(frozen=True, slots=True)
class Expect:
    """What a case expects; a field of None is not looked at."""

    decision: str | None = None
    status: int | None = None
    rule: tuple[str, ...] | None = None
    model: str | None = None
    tags: tuple[str, ...] | None = None
    message: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One test: `caller` is a key's alias or the fields of one."""

    name: str
    mark: Mark
    caller: str | Mapping[str, Any]
    path: str
    headers: Mapping[str, str]
    body: bytes
    clock: float
    upstream: Canned
    expect: Expect
    method: str = "POST"
    before: tuple[Before, ...] = ()


def find_tests(directory: str | os.PathLike[str]) -> list[str]:
    """List the test files below a directory, in order; raises OSError."""
    os.listdir(directory)  # noqa: PTH208 - walking would be silent about a directory that cannot be read
    found = []
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.join(folder, name) for name in names if name.endswith(TESTS) and name[:1] != "."]  # noqa: PTH118 - names here are text throughout
    return sorted(found)


class Known(NamedTuple):
    """What cases may name: the aliases of keys, and the policies that limit something."""

    aliases: Sequence[str]
    limits: Sequence[str] = ()


def read_cases(file: str, known: Known) -> tuple[list[Case], list[Problem]]:
    """Read a test file; never raises, problems are in the answer."""
    try:
        text = Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "not UTF-8").lower()
        return [], [Problem("error", None, file, f"cannot be read ({reason})")]
    document = parse(text, file)
    if document.problems:
        return [], document.problems
    sheet = Sheet(document, text.splitlines(), file)
    top = FieldReader(sheet, (), document.value, dict(PHASES))
    if not top.has("tests"):
        top.fault("holds no `tests`: a list of cases, each with `name`, `caller`, `request` and `expect`")
    written = document.value.get("tests")
    raw = [entry for entry in written if isinstance(entry, dict)] if isinstance(written, list) else []
    cases = [_Case(sheet, reader, entry, known).read() for reader, entry in zip(top.each("tests"), raw, strict=True)]
    names: set[str] = set()
    for at, case in enumerate(cases):
        if case.name in names:
            sheet.error(("tests", at, "name"), f"`{case.name}` is already the name of another case of this file")
        names.add(case.name)
    top.finish()
    return cases, sheet.problems


class _Case:
    """Reads one case: `raw` is what its reader reads, for values that may be anything."""

    def __init__(self, sheet: Sheet, reader: FieldReader, raw: Mapping[str, Any], known: Known) -> None:
        self.sheet = sheet
        self.reader = reader
        self.raw = raw
        self.aliases, self.limits = known

    def read(self) -> Case:
        """Return the case; what is wrong with it is in the sheet."""
        reader = self.reader
        name = reader.text("name")
        if not name:
            reader.fault("needs a `name`: what the case shows")
        request, upstream = reader.mapping("request"), reader.mapping("upstream")
        written, answer = self._inner("request"), self._inner("upstream")
        path = request.text("path", PATH)
        if not path.startswith("/"):
            request.fault("must begin with `/`", "path")
        body = self._object(request, written, "body")
        method = request.text("method", "POST").upper()
        status = upstream.number("status", 200, least=200, most=599)
        upstream.has("body")
        canned = Canned(int(status), self._texts(upstream, answer, "headers"), answer.get("body"))
        mark = self.sheet.mark(reader._path)  # noqa: SLF001 - the place of the whole case
        headers = self._texts(request, written, "headers")
        data = json.dumps(body).encode() if body or method == "POST" else b""
        return Case(
            name,
            mark,
            self._caller(),
            path,
            headers,
            data,
            self._clock(),
            canned,
            self._expect(),
            method,
            self._before(),
        )

    def _before(self) -> tuple[Before, ...]:
        found = []
        for entry in self.reader.each("counters"):
            policy, used = entry.text("policy"), entry.number("used")
            if not policy:
                entry.fault("needs the name of a `policy`")
            elif policy not in self.limits:
                guess = nearest(policy, self.limits)
                hint = f"did you mean `{guess}`?" if guess else "known are " + (", ".join(self.limits) or "none")
                entry.fault(f"no Budget or RateLimit is named `{policy}`; {hint}", "policy")
            found.append(Before(policy, entry.texts("values"), used))
        return tuple(found)

    def _inner(self, name: str) -> Mapping[str, Any]:
        found = self.raw.get(name)
        return found if isinstance(found, dict) else {}

    def _object(self, reader: FieldReader, raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """Return a field that holds any members."""
        reader.has(name)
        found = raw.get(name, {})
        if not isinstance(found, dict):
            reader.fault(f"must be a mapping, not {kind_of_value(found)}", name)
        return found if isinstance(found, dict) else {}

    def _texts(self, reader: FieldReader, raw: Mapping[str, Any], name: str, *, absent: bool = False) -> dict[str, Any]:
        """Return a field that holds texts by name, in lower case; where `absent` may be said, null says it."""
        found = {}
        for key, value in self._object(reader, raw, name).items():
            if isinstance(value, str | int | float) or (absent and value is None):
                found[key.lower()] = value if value is None or isinstance(value, str) else str(value)
            else:
                reader.fault(f"`{key}` must be text, not {kind_of_value(value)}", name)
        return found

    def _caller(self) -> str | Mapping[str, Any]:
        reader, raw = self.reader, self.raw.get("caller")
        reader.has("caller")
        if raw is None:
            reader.fault("needs a `caller`: the alias of a key, or the fields of one (`{}` for a key without any)")
            return {}
        if isinstance(raw, dict):
            return self._fields(reader.mapping("caller"), raw)
        if not isinstance(raw, str):
            reader.fault(f"must be the alias of a key or the fields of one, not {kind_of_value(raw)}", "caller")
        elif raw not in self.aliases:
            guess = nearest(raw, self.aliases)
            hint = f"did you mean `{guess}`?" if guess else f"known are {', '.join(f'`{one}`' for one in self.aliases)}"
            reader.fault(f"no key has the alias `{raw}`; {hint}", "caller")
        return raw if isinstance(raw, str) else {}

    def _fields(self, reader: FieldReader, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        found: dict[str, Any] = {CALLER[name]: reader.text(name) for name in CALLER if reader.has(name)}
        found |= {name: list(reader.texts(name)) for name in ("tags", "models", "allowed_tags") if reader.has(name)}
        found |= {name: self._object(reader, raw, name) for name in ("metadata", "aliases")}
        if reader.has("role"):
            found["role"] = reader.choice("role", _ROLES, "internal_user")
        return found

    def _clock(self) -> float:
        written = self.reader.text("clock")
        if not written:
            return time.time()
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.reader.fault("must be an instant with its zone, such as `2026-01-12T09:00:00Z`", "clock")
            return 0.0
        return moment.timestamp()

    def _expect(self) -> Expect:
        reader, raw = self.reader.mapping("expect"), self._inner("expect")
        if not raw:
            self.reader.fault("needs `expect`: without an expectation nothing can fail")
        decision = reader.choice("decision", DECISIONS, "") if reader.has("decision") else None
        status = int(reader.number("status", 0, least=100, most=599)) if reader.has("status") else None
        return Expect(
            decision,
            status,
            reader.texts("rule") if reader.has("rule") else None,
            reader.text("model") if reader.has("model") else None,
            reader.texts("tags") if reader.has("tags") else None,
            reader.text("message") if reader.has("message") else None,
            self._texts(reader, raw, "headers", absent=True),
            self._object(reader, raw, "body"),
        )
