"""What is known before a call comes: rules that it settles, and those that it must not."""

from __future__ import annotations

import pytest

from engine.expr.program import Program, compile_expression
from engine.policy import Expression
from engine.standing import Known, Standing, UnsettledError
from engine.variables import REQUEST
from tests.engine.deciding import asking, chat, decided, document, person, snapshot_of, verdict


def compiled(source: str) -> Program:
    return compile_expression(source, REQUEST)


def settled(source: str, **caller: object) -> object:
    standing = Standing.of(person(**caller), "chat", "a", None)
    return standing.settled(Expression(compiled(source), "p.yaml:1", "deny"))


@pytest.mark.parametrize(
    ("source", "comes_to"),
    [
        ('apiKey.team == "red"', True),
        ('apiKey.team == "blue" && llm.params.max_tokens > 5', False),
        ('apiKey.team == "red" || size(llm.prompt) > 5', True),
        ('apiKey.team == "red" && llm.params.max_tokens > 5', None),
        ('llm.params.max_tokens > 5 && apiKey.team == "blue"', None),
        ('apiKey.metadata.gone == "x" && llm.streaming', None),
        ('apiKey.metadata.?gone.orValue("x") == "x"', True),
        ("llm.?params.?max_tokens.orValue(1) == 1", None),
        ("has(llm.params.max_tokens)", None),
        ('llm.params.exists(k, k == "x")', None),
        ("size(llm.params) > 0", None),
        ("size(request.headers) > 0", None),
        ('request.route == "chat"', True),
        ('request.route == "chat" ? apiKey.team == "red" : llm.streaming', True),
        ("now > now", None),
        ('request == request || apiKey.team == "red"', None),
        ("optional.ofNonZeroValue(llm).hasValue()", None),
    ],
)
def test_a_rule_is_settled_only_where_its_evaluation_asks_for_nothing_else(source, comes_to):
    assert settled(source, team="red", metadata={}) is comes_to


def test_alike_calls_settle_what_they_have_in_common():
    standing = Standing.of(person(), "chat", "a", None)
    activation = {"llm": {"params": {"max_tokens": 9}, "streaming": False}, "request": {"headers": {"x-a": "1"}}}
    steady = frozenset(
        {("llm", "params", "max_tokens"), ("llm", "params", "n"), ("llm", "streaming"), ("request", "headers", "x-a")}
    )
    wider = standing.widened(activation, steady)
    for source, comes_to in {
        "llm.params.max_tokens > 5": True,
        "has(llm.params.n)": False,
        "llm.params.?n.orValue(3) > 2": True,
        "llm.params.?top_p.orValue(1.0) > 0.5": None,
        "llm.params.max_tokens > 5 && llm.streaming": False,
        'request.headers["x-a"] == "1"': True,
        'request.headers[?"x-b"].orValue("") == "1"': None,
        'llm.params.exists(k, k == "n")': None,
    }.items():
        assert wider.settled(Expression(compiled(source), "p.yaml:1", "deny")) is comes_to, source


def test_a_map_of_which_not_all_is_known_answers_for_what_is():
    known = Known()
    known["a"] = 1
    known.absent.add("b")
    assert ("a" in known, known["a"], known.get("a"), "b" in known, known.get("b", 7)) == (True, 1, 1, False, 7)
    for ask in (
        lambda: known["c"], lambda: known.get("c"), lambda: "c" in known, lambda: list(known), lambda: len(known),
        lambda: known == {}, known.items, known.values, known.keys,
    ):  # fmt: skip
        with pytest.raises(UnsettledError):
            ask()
    with pytest.raises(KeyError):
        known["b"]


def test_a_loop_over_a_map_sees_what_others_read_by_name():
    text = document("ModelAccess", rules=[{"deny": 'llm.params.max_tokens > 0 && llm.params.exists(k, k == "seed")'}])
    assert verdict(text, chat(max_tokens=5, seed=1)).status == 403
    assert verdict(text, chat(max_tokens=5)).status == 200


SEEK = document("ModelAccess", rules=[{"deny": 'llm.prompt.exists(m, m.content.contains("TOP SECRET"))'}])


@pytest.mark.parametrize(
    ("members", "status"),
    [
        (chat("nothing"), 200),
        (chat("a TOP SECRET b"), 403),
        (b'{"model":"a","messages":[{"role":"user","content":"TOP SECRE\\u0054"}]}', 403),
        (b'{"model":"a","messages":[{"role":"user","content":"\\u0041 TOP SECRE"}]}', 200),
        (b'{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"TOP SECRET"}]}]}', 403),
        (b'{"model":"a","messages":[{"role":"TOP SECRET","content":"x"}]}', 200),
        (b'{"model":"a","messages":[{"role":"assistant","content":null,"tool_calls":[{"function":{"arguments":"TOP SECRET"}}]}]}', 403),
        (chat("x" * 200_000 + "TOP SECRET"), 403),
        (chat("x" * 200_000), 200),
    ],
)  # fmt: skip
def test_a_prompt_looked_through_as_bytes_is_judged_as_if_it_had_been_read(members, status):
    snapshot = snapshot_of(SEEK)
    for _ in range(2):
        assert decided(asking(snapshot, members)).status == status


def test_what_was_looked_through_counts_as_read():
    found = verdict(SEEK)
    assert b'"llm.prompt":{"sha256":' in bytes(found.decision.read_text(content=False, hidden=frozenset()))
    shown = bytes(found.decision.read_text(content=True, hidden=frozenset()))
    assert b'"content":"hello"' in shown
