"""In how many questions a service is asked about a call: phase by phase, or once a way."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.consulting import consult, consult_only, masked
from engine.detecting import Finding, Hit
from engine.errors import PolicyError
from engine.policy import Detect, Watch
from engine.slots import ANSWERED, ASKED, CALLS, INPUT, OUTPUT, RESULTS, Slot
from engine.watched import Watched
from engine.watching import Guard


class Service:
    """Keeps what it was asked, and puts another text in the place of each."""

    def __init__(self, sides=None):
        self.asked = []
        if sides is not None:
            self.sides = frozenset(sides)

    async def ask(self, question):
        self.asked.append((question.phase, [*question.texts], [key for _, key in question.whole().places]))
        return [Finding(replacement=f"<{text}>") for text in question.texts]


def watched(service, *phases):
    policy = SimpleNamespace(head=SimpleNamespace(name="g", ignore_errors=False))
    detect, phases = Detect("remote", {}, "remote", "mask"), frozenset(phases)
    guard = Guard(
        policy, Watch(phases, (detect,)), None, (), ((detect, service),), frozenset(), phases & ASKED, phases & ANSWERED
    )
    return Watched(None, [guard], {})


ALL = (INPUT, OUTPUT, CALLS, RESULTS)


async def asked(service, phases, *found):
    body, looking = dict.fromkeys(found, "x"), watched(service, *ALL)
    slots = [Slot(body, phase, "x", phase) for phase in found]
    await consult(looking, looking.guards, slots, phases, lambda: (body, body))
    return body


async def test_phase_by_phase():
    service = Service()
    assert set((await asked(service, ASKED, RESULTS, INPUT, CALLS)).values()) == {"<x>"}
    assert service.asked == [(phase, ["x"], [phase]) for phase in (INPUT, CALLS, RESULTS)]


@pytest.mark.parametrize(
    ("sides", "wanted"), [([INPUT], {INPUT}), ([OUTPUT], {OUTPUT}), ([INPUT, OUTPUT], {INPUT, OUTPUT})]
)
async def test_once_a_way(sides, wanted):
    service = Service(sides)
    await asked(service, ASKED, RESULTS, INPUT, CALLS)
    await asked(service, ANSWERED, CALLS, OUTPUT)
    await asked(service, ANSWERED)
    both = {INPUT: (INPUT, ["x"] * 3, [RESULTS, INPUT, CALLS]), OUTPUT: (OUTPUT, ["x"] * 2, [CALLS, OUTPUT])}
    assert service.asked == [question for side, question in both.items() if side in wanted]


@pytest.mark.parametrize("sides", [None, [INPUT]])
async def test_beside_a_call_it_is_told_where_texts_stand_though_it_may_not_change_them(sides):
    service, body = Service(sides), {INPUT: "x", "other": "y"}
    looking = watched(service, *ALL)
    with pytest.raises(PolicyError, match="text that can be masked no more"):
        await consult_only(looking, looking.guards, [Slot(body, INPUT, "x", INPUT)], ASKED, lambda: (body, body))
    assert service.asked == [(INPUT, ["x"], [INPUT])]
    assert body == {INPUT: "x", "other": "y"}


@pytest.mark.parametrize(
    ("sides", "waits"), [(None, True), ([OUTPUT], True), ([INPUT, OUTPUT], True), ([INPUT], False)]
)
def test_a_stream_is_shown_to_who_wants_answers_only(sides, waits):
    assert watched(Service(sides), INPUT, CALLS).asks is waits
    assert not watched(Service(sides), INPUT).asks


class Finder:
    """Finds the word `ann` in each text, and what stands around it a second time."""

    async def ask(self, question):
        found = [(text, text.find("ann")) for text in question.texts]
        return [
            Finding([Hit(at, at + 3, "PERSON"), Hit(at + 1, at + 5, "OTHER")] if at >= 0 else []) for text, at in found
        ]


@pytest.mark.parametrize(("restore", "left"), [(True, "hello <PERSON_1>x"), (False, "hello <PERSON>x")])
async def test_what_a_service_finds_is_put_back_where_that_is_asked_for(restore, left):
    asked = watched(Finder(), INPUT)
    guard = asked.guards[0]._replace(watch=asked.guards[0].watch._replace(restore=restore))
    asked = Watched(None, [guard], {})
    body = {"text": "hello ann, x"}
    await consult(asked, [guard], [Slot(body, "text", body["text"], INPUT)], ASKED)
    assert body["text"] == left
    if restore:
        assert asked.vault.restore("dear <PERSON_1>") == "dear ann, "


@pytest.mark.parametrize(
    ("hits", "left"),
    [
        ([], "abcdef"),
        ([Hit(1, 2, "B"), Hit(4, 5, "E")], "a<B>cd<E>f"),
        ([Hit(1, 3, "X"), Hit(2, 5, "Y"), Hit(5, 6, "Z")], "a<X><Z>"),
        ([Hit(0, 6, "ALL"), Hit(2, 3, "C")], "<ALL>"),
    ],
)
def test_hits_that_overlap_are_one(hits, left):
    assert masked("abcdef", hits) == left
