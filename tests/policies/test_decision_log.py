"""`DecisionLog`: what may be written, and what the recorder makes of it."""

from __future__ import annotations

import json

import pytest

from adapters.counters.memory import Memory
from adapters.sinks.jsonl import Jsonl
from engine.ledger import Ledger
from engine.metrics import Metrics
from engine.outside import SystemClock
from engine.policy import Log
from engine.receive import Receiver
from engine.record import Recorder
from policies.decision_log import DecisionLog
from tests.engine.deciding import FILE, asking, chat, decided, document, person, policies, problems, snapshot_of


def recording(**fields) -> str:
    return document("DecisionLog", **fields)


@pytest.mark.parametrize(
    ("fields", "line", "wrong"),
    [
        ({}, 2, "says nothing; give it `content`, `drop` or `mask`"),
        ({"content": "yes"}, 4, "content: must be true or false, not text"),
        ({"drop": "apiKey.team"}, 4, "drop: the expression is to be bool, not string"),
        ({"drop": ["true"]}, 4, "drop: must be a CEL expression, not a list"),
        ({"mask": ["apiKey.user"]}, 5, "mask[0]: must be a mapping, not text"),
        ({"mask": [{"when": "true"}]}, 5, "mask[0]: needs an `attribute`, such as `apiKey.user`"),
        ({"mask": [{"attribute": "apiKey.usr"}]}, 5, "mask[0].attribute: `apiKey.usr` is no attribute: there is no `usr`; did you mean `user`?"),
        ({"mask": [{"attribute": "apikey.user"}]}, 5, "mask[0].attribute: `apikey.user` is no attribute: there is no `apikey`; did you mean `apiKey`?"),
        ({"mask": [{"attribute": "llm.prompt.content"}]}, 5, "mask[0].attribute: `llm.prompt.content` is no attribute: there is no `content`"),
        ({"mask": [{"attribute": "now.day"}]}, 5, "mask[0].attribute: `now.day` is no attribute: there is no `day`"),
        ({"mask": [{"attribute": "now", "when": "5"}]}, 6, "mask[0].when: the expression is to be bool, not int"),
        ({"mask": [{"attribute": "now", "if": "true"}]}, 6, "mask[0].if: unknown field; known are attribute, when"),
        ({"contents": True, "drop": "false"}, 4, "contents: unknown field; did you mean `content`?"),
        ({"content": True, "match": {"teams": ["t"]}}, 2, "governs the records of all calls: say in `drop` and `when` which calls are meant"),
        ({"content": True, "matchConditions": [{"expression": "true"}]}, 2, "governs the records of all calls: say in `drop` and `when` which calls are meant"),
        ({"drop": "variables.x", "variables": [{"name": "x", "expression": "true"}]}, 2, "governs the records of all calls: say in `drop` and `when` which calls are meant"),
        ({"content": True, "validationActions": ["Audit"]}, 2, "governs the records of all calls: say in `drop` and `when` which calls are meant"),
    ],
)  # fmt: skip
def test_what_may_not_be_written(fields, line, wrong):
    found = problems(recording(**fields))[0].split("\n")[0]
    place, _, said = found.partition(": error: ")
    assert place.split(":")[:2] == [FILE, str(line)]
    assert said == wrong


@pytest.mark.parametrize(
    "attribute",
    ["apiKey", "apiKey.user", "apiKey.metadata.email", "request.headers", "request.headers.x-tenant", "llm", "llm.prompt", "llm.params.user", "jwt.sub", "llmRequest.user", "now"],
)  # fmt: skip
def test_any_attribute_may_be_masked(attribute):
    (policy,) = policies(recording(mask=[{"attribute": attribute}]))
    assert isinstance(policy, DecisionLog)
    assert policy.log() == Log(mask=((attribute, None),))


READS = document(
    "ModelAccess", "m", rules=[{"deny": 'apiKey.user == "x" || size(request.headers) > 99 || size(llm.prompt) > 99'}]
)
ALL = {"apiKey.user", "request.headers", "llm.prompt"}


@pytest.fixture
def written(tmp_path):
    """Record one call under policies; return its line, None when there is none."""

    def record(*texts: str, members=None, caller=None, operation: str = "chat"):
        path = tmp_path / "records.jsonl"
        path.unlink(missing_ok=True)
        recorder = Recorder(
            Ledger(Memory(SystemClock()), SystemClock()), Metrics(), Receiver(), lambda: 1.0, [Jsonl({"path": path})]
        )
        call = asking(
            snapshot_of(READS, *texts),
            members or chat("a secret"),
            caller or person(user="anna", org="eu"),
            operation=operation,
        )
        with recorder.recorded(call):
            assert decided(call).status == 200
        recorder.close()
        lines = path.read_text().splitlines()
        return json.loads(lines[0]) if lines else None

    return record


def test_without_a_word_content_is_hashed_and_everything_is_recorded(written):
    read = written()["read"]
    assert read.keys() >= ALL
    assert read["llm.prompt"].keys() == {"sha256", "size"}


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"mask": [{"attribute": "apiKey.user"}]}, {"apiKey.user"}),
        ({"mask": [{"attribute": "apiKey"}, {"attribute": "llm"}]}, {"apiKey.user", "llm.prompt"}),
        ({"mask": [{"attribute": "request.headers", "when": 'apiKey.org == "eu"'}]}, {"request.headers"}),
        ({"mask": [{"attribute": "request.headers", "when": 'apiKey.org == "us"'}]}, set()),
        ({"mask": [{"attribute": "llm.prompt", "when": "llm.streaming"}]}, set()),
        ({"content": True, "mask": [{"attribute": "llm.prompt"}]}, {"llm.prompt"}),
    ],
)
def test_what_is_masked(written, fields, missing):
    assert ALL - written(recording(**fields))["read"].keys() == missing


def test_content_is_recorded_where_it_is_asked_for(written):
    assert written(recording(content=True))["read"]["llm.prompt"] == [{"role": "user", "content": "a secret"}]
    assert "content" not in json.dumps(written(recording(content=False))["read"])


@pytest.mark.parametrize(
    ("drop", "members", "left"),
    [
        ("true", None, False),
        ("false", None, True),
        ('request.route == "embeddings"', None, True),
        ('apiKey.user == "anna"', None, False),
        ("llm.params.n > 1", chat(n=2), False),
        ("llm.params.n > 1", None, True),
        ('llm.prompt.exists(m, m.content.contains("secret"))', None, False),
    ],
)
def test_what_leaves_no_record(written, drop, members, left):
    """What cannot say whether it is meant is recorded."""
    assert (written(recording(drop=drop), members=members) is not None) is left


def test_several_logs_add_up(written):
    one = recording(name="one", drop="llm.streaming", mask=[{"attribute": "apiKey.user"}])
    two = recording(
        name="two", drop="llm.params.?n.orValue(0) == 7", mask=[{"attribute": "request.headers"}], content=True
    )
    assert written(one, two, members=chat(n=7)) is None
    assert written(one, two, members=chat(stream=True)) is None
    read = written(one, two)["read"]
    assert not read.keys() & {"apiKey.user", "request.headers"}
    assert read["llm.prompt"] == [{"role": "user", "content": "hello"}] or isinstance(read["llm.prompt"], list)
