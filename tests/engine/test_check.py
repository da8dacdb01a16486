"""The precedence of rules, case by case over every combination; what errors mean; what is said to the caller."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.engine.deciding import TOO_LONG, asking, chat, crowd, decided, document, person, snapshot_of, verdict

EFFECTS = ("deny", "require", "allow")
TRUTHS = {"true": "llm.streaming == false", "false": "llm.streaming", "error": "llm.params.missing > 1"}
POLICIES = ("Fail", "Ignore")
ACTIONS = ("Deny", "Warn", "Audit")
CONDITIONS = {"none": [], "true": ["true"], "false": ["false"], "error": ["llm.params.missing > 1"]}


def access(name: str = "p", **fields) -> str:
    return document("ModelAccess", name, **fields)


def conditioned(condition: str) -> list[dict[str, str]]:
    return [{"name": "when", "expression": one} for one in CONDITIONS[condition]]


def refuses(effect: str, truth: str, failure: str, condition: str) -> bool:
    """Say whether one rule alone refuses a call, were it in force: the precedence table of the design."""
    if condition == "false":
        return False
    if condition == "error":
        return failure == "Fail"
    if effect == "allow":
        return truth != "true"
    if truth == "error":
        return failure == "Fail"
    return truth == ("true" if effect == "deny" else "false")


TABLE = list(itertools.product(EFFECTS, TRUTHS, POLICIES, ACTIONS, CONDITIONS))


@pytest.mark.parametrize(("effect", "truth", "failure", "action", "condition"), TABLE)
def test_one_rule(effect, truth, failure, action, condition):
    found = verdict(
        access(
            matchConditions=conditioned(condition), rules=[{effect: TRUTHS[truth]}],
            failurePolicy=failure, validationActions=[action],
        )
    )  # fmt: skip
    would = refuses(effect, truth, failure, condition)
    assert found.status == (403 if would and action == "Deny" else 200)
    assert bool(found.decision.warnings) is (would and action == "Warn")
    errs = condition == "error" or (truth == "error" and condition != "false")
    assert any(said == "error" for _, said in found.told) is errs
    name = "p" if condition == "error" else "p/rules[0]"
    matched = effect == "allow" and truth == "true" and condition in ("none", "true")
    assert found.rules == ([name] if action == "Deny" and (would or matched) else [])
    if condition == "false":
        assert found.told == [("p/when", "skipped")]


TWO = list(itertools.product(itertools.product(EFFECTS, TRUTHS), itertools.product(EFFECTS, TRUTHS)))


@pytest.mark.parametrize("apart", [False, True], ids=["one policy", "two policies"])
@pytest.mark.parametrize("variables", [False, True], ids=["plain", "judged"])
@pytest.mark.parametrize(("first", "second"), TWO)
def test_two_rules(first, second, variables, apart):
    """Any refusing `deny` or `require` refuses; `allow` is a question to all policies together."""
    rules = [{effect: TRUTHS[truth]} for effect, truth in (first, second)]
    more = {"variables": [{"name": "x", "expression": "1"}]} if variables else {}
    if apart:
        found = verdict(access("p", rules=rules[:1]) + access("q", rules=rules[1:], **more))
    else:
        found = verdict(access(rules=rules, **more))
    names = ("p/rules[0]", "q/rules[0]" if apart else "p/rules[1]")
    written = list(zip(names, (first, second), strict=True))
    allows = [(name, truth) for name, (effect, truth) in written if effect == "allow"]
    held = [name for name, truth in allows if truth == "true"]
    refusing = [
        (EFFECTS.index(effect), name)
        for name, (effect, truth) in written
        if effect != "allow" and refuses(effect, truth, "Fail", "none")
    ]
    refusing += [] if held else [(EFFECTS.index("allow"), name) for name, _ in allows]
    assert found.status == (403 if refusing else 200)
    assert found.rules == ([name for _, name in sorted(refusing)] if refusing else held)


def test_a_denial_lists_every_reason_once_and_names_every_rule():
    text = access(
        "p",
        rules=[
            {"require": "false", "message": "one", "name": "r1"},
            {"deny": "true", "message": "two", "name": "d1", "status": 429},
            {"deny": "true", "message": "two", "name": "d2"},
            {"allow": "false", "name": "a1"},
        ],
    ) + access("q", rules=[{"deny": "true"}], variables=[{"name": "x", "expression": "1"}])
    found = verdict(text)
    assert (found.status, found.type) == (429, "policy_denied")
    assert found.message == "two; denied by policy `q`; one; no rule of policy `p` allows this call"
    assert found.rules == ["p/d1", "p/d2", "q/rules[0]", "p/r1", "p/a1"]


def test_a_condition_that_errs_is_one_reason_among_others():
    text = access("p", rules=[{"deny": "true", "message": "no", "status": 402}])
    text += access("q", rules=[{"deny": "true"}], matchConditions=conditioned("error"))
    found = verdict(text)
    assert found.status == 403
    assert found.rules == ["q", "p/rules[0]"]
    place = "(matchConditions[0].expression, 1:12)"
    assert found.message == f"policy `q` could not be evaluated: no such key: `missing` {place}; no"


def test_allow_rules_of_policies_that_do_not_apply_are_not_asked_and_not_named():
    skipped = access("p", rules=[{"allow": "false"}], matchConditions=conditioned("false"))
    assert verdict(skipped).status == 200
    found = verdict(skipped + access("q", rules=[{"allow": "false"}]))
    assert (found.status, found.rules) == (403, ["q/rules[0]"])
    assert found.message == "no rule of policy `q` allows this call"
    elsewhere = access("p", rules=[{"allow": "false"}], match={"teams": ["t"]})
    assert verdict(elsewhere).status == 200
    assert verdict(elsewhere, caller=person(team="t")).status == 403


@pytest.mark.parametrize(
    ("text", "status", "warnings"),
    [
        (access("w", rules=[{"allow": "false"}]), 200, ["w/rules[0]: would be refused"]),
        (access("w", rules=[{"allow": "false"}, {"allow": "true"}]), 200, []),
        (access("w", rules=[{"allow": "true"}]), 200, []),
        (access("w", rules=[{"deny": "true", "message": "x"}, {"require": "false"}]), 200, ["w/rules[0]: x", "w/rules[1]: would be refused"]),
    ],
)  # fmt: skip
def test_a_warning_says_what_would_have_been_refused(text, status, warnings):
    found = verdict(text + "validationActions: [Warn]\n")
    assert (found.status, found.decision.warnings) == (status, warnings)


@pytest.mark.parametrize("first", ["warning", "force"])
def test_a_rule_in_force_that_allows_is_heard_by_those_that_only_warn(first):
    """Made to deny, the policy would refuse nothing, for another one allows the call."""
    warning = access("w", rules=[{"allow": "false"}], validationActions=["Warn"])
    force = access("f", rules=[{"allow": "true"}], variables=[{"name": "x", "expression": "1"}])
    found = verdict(warning + force if first == "warning" else force + warning)
    assert (found.status, found.decision.warnings, found.rules) == (200, [], ["f/rules[0]"])


def test_what_only_warns_counts_for_nothing_in_force():
    allowing = access("w", rules=[{"allow": "true"}], validationActions=["Audit"])
    assert verdict(allowing + access("f", rules=[{"allow": "false"}])).status == 403
    assert verdict(access("w", rules=[{"allow": "false"}], validationActions=["Warn"])).status == 200


def test_warnings_are_there_of_a_call_that_is_refused():
    text = access("d", rules=[{"deny": "true"}]) + access("w", rules=[{"deny": "true"}], validationActions=["Warn"])
    found = verdict(text)
    assert (found.status, found.rules) == (403, ["d/rules[0]"])
    assert found.decision.warnings == ["w/rules[0]: would be refused"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"rules": [{"deny": TOO_LONG}]}, 403),
        ({"rules": [{"require": TOO_LONG}]}, 200),
        ({"rules": [{"allow": TOO_LONG}, {"allow": "true"}]}, 200),
        ({"rules": [{"deny": "variables.x"}], "variables": [{"name": "x", "expression": TOO_LONG}]}, 403),
        ({"rules": [{"deny": "true"}], "matchConditions": [{"name": "c", "expression": TOO_LONG}]}, 403),
        ({"rules": [{"require": "false"}], "matchConditions": [{"name": "c", "expression": TOO_LONG}]}, 200),
        ({"rules": [{"deny": f"{TOO_LONG} || false"}]}, 403),
    ],
)
def test_a_limit_in_a_deny_denies_even_where_errors_are_ignored(fields, status):
    """Whoever fills a prompt until the rule gives up must not be rid of the rule."""
    text = access(failurePolicy="Ignore", **fields)
    found = verdict(text, crowd())
    assert found.status == status
    if status == 403:
        assert "more than 10,000 iterations" in found.message
    small = verdict(access(failurePolicy="Ignore", rules=[{"deny": f"!({TOO_LONG})"}]))
    assert small.status == 200


def test_a_large_body_is_judged_in_a_thread_and_alike():
    text = access(rules=[{"deny": 'llm.prompt.exists(m, m.content.contains("needle"))', "message": "found"}])
    hay = "hay " * 100_000
    assert verdict(text, chat(hay)).status == 200
    assert verdict(text, chat(hay + "needle")).message == "found"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('"at most " + string(4 * 2) + " words"', "at most 8 words"),
        ('"for " + apiKey.alias', "for bob\\ ok"),
        ('"line\\nfeed and " + llm.params.stop', "line feed and a b"),
        ("llm.params.missing", "denied by policy `p`"),
        ('llm.params.list.join("")', "y" * 1000),
        ('""', "denied by policy `p`"),
    ],
)
def test_what_a_rule_computes_to_say(expression, said):
    text = access(rules=[{"deny": "true", "messageExpression": expression}])
    members = chat(stop="a\u2028b", list=["y" * 999] * 3)
    assert verdict(text, members, person(alias="bob\\ ok")).message == said


def test_variables_are_evaluated_once_and_only_when_they_are_read():
    text = access(
        variables=[
            {"name": "broken", "expression": "llm.params.missing"},
            {"name": "long", "expression": "size(llm.prompt[0].content) > 3"},
            {"name": "both", "expression": "variables.long && variables.long"},
        ],
        rules=[{"deny": "variables.both", "message": "long"}, {"allow": "true || variables.broken"}],
    )
    assert verdict(text, chat("hello")).message == "long"
    found = verdict(text, chat("hi"))
    assert (found.status, found.rules) == (200, ["p/rules[1]"])


def test_a_variable_that_errs_says_which_and_where():
    text = access(variables=[{"name": "x", "expression": "llm.params.seed + 1"}], rules=[{"deny": "variables.x > 1"}])
    found = verdict(text, chat(seed="two"))
    assert "policies/p.yaml" not in found.message
    assert found.message.startswith("policy `p` could not be evaluated: variable `x`: no such overload: ")
    assert re.findall(r"\((\S+) at policies/p.yaml:(\d+), 1:\d+\)", found.decision.outcomes[0].detail) == [
        ("variables[0].expression", "6"),
        ("rules[0].deny", "8"),
    ]


def test_variables_of_one_policy_are_unknown_to_the_next():
    one = access("p", variables=[{"name": "x", "expression": "true"}], rules=[{"deny": "variables.x && llm.streaming"}])
    two = access("q", variables=[{"name": "x", "expression": "false"}], rules=[{"require": "!variables.x"}])
    assert verdict(one + two).status == 200


def test_conditions_are_asked_in_order_and_all_must_hold():
    text = access(
        matchConditions=[
            {"name": "first", "expression": "!llm.streaming"},
            {"name": "second", "expression": 'apiKey.team == "t"'},
            {"name": "third", "expression": "llm.params.missing"},
        ],
        rules=[{"deny": "true"}],
        failurePolicy="Ignore",
    )
    assert verdict(text, chat(stream=True)).told == [("p/first", "skipped")]
    assert verdict(text).told == [("p/second", "skipped")]
    assert verdict(text, caller=person(team="t")).told == [("p", "error")]


UNREADABLE = [
    (b'{"model": "a", "messages": [], "seed": 1e999}', ""),
    (b'{"model": "a", "messages": [], "max_tokens": 1e400}', ""),
    (b'{"model": "a", "messages": [{"role": "user", "content": "x", "n": 1e999}]}', ""),
    (b'{"model": "a", "messages": [], "metadata": {"n": 1e999}}', ""),
    (b'{"model": "a", "messages": []}', "?" + "&".join(f"a{n}=1" for n in range(101))),
]


@pytest.mark.parametrize(("body", "query"), UNREADABLE)
@pytest.mark.parametrize("failure", POLICIES)
def test_what_a_client_makes_unreadable_denies_even_where_errors_are_ignored(body, query, failure):
    """A number that nothing can hold, a query without end: whoever sends them is not rid of a `deny`."""
    reading = (
        "llm.params.?max_tokens.orValue(0) + llm.params.?seed.orValue(0) < 0 || size(llm.prompt) > 9 "
        '|| "x" in request.tags || "x" in request.query'
    )
    text = access(rules=[{"deny": reading}, {"require": "true"}], failurePolicy=failure)
    found = verdict(text, body, query=query)
    assert (found.status, found.rules) == (403, ["p/rules[0]"])
    assert "cannot be read" in found.message
    assert verdict(text, query="?" + "&".join(f"a{n}=1" for n in range(99))).status == 200
    unread = verdict(access(rules=[{"deny": "llm.streaming"}], failurePolicy=failure), body, query=query)
    assert unread.status == 200


def test_the_master_key_is_judged_like_any_other():
    found = verdict(access(rules=[{"deny": "true"}]), caller=person(role="proxy_admin"))
    assert found.status == 403


def test_without_governing_policies_there_is_no_decision():
    for text in ("", access(match={"teams": ["t"]}, rules=[{"deny": "true"}])):
        call = asking(snapshot_of(*([text] if text else [])), chat())
        assert decided(call).status == 200
        assert call.decision is None
