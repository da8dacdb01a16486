"""The ledger under any order of calls, crashes, reloads and resets, beside a plain account of all that was ever granted.

Real counters, journal, folder and store in a directory, under a clock that is turned; nothing is ever granted beyond a
limit, nothing is lost or counted twice, whatever happens.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.call import Call
from engine.claims import Counter, Refused, Unit
from engine.storing import Scope as Sums
from engine.windows import Algorithm
from tests.engine.accounts import LEASED, Accounts, Hold, Label, label
from tests.engine.calling import KEYS, SETTINGS, House, Running
from tests.engine.deciding import asking, chat
from tests.engine.keeping import IN, OUT, Kept, Turned, attempt, done, used, words

MEMORY = Path("/dev/shm")
"""Where files cost no disk."""


class Laws(RuleBasedStateMachine):
    """Nothing is granted beyond a limit, nothing is lost, nothing counts twice."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="laws-", dir=MEMORY if MEMORY.is_dir() else None))
        self.clock = Turned()
        self.kept = self.keep()
        self.house = House()
        self.accounts = Accounts()
        self.running: list[Running] = []
        self.unwritten: list[Running] = []
        """Calls that gave back what they held, of which nothing is written yet."""
        self.calls = 0
        self.reload()

    def keep(self) -> Kept:
        """Begin a process with a ledger."""
        return Kept(self.directory, self.clock)

    def reload(self, **changes: Any) -> None:
        self.house.change(changes)
        self.kept.ledger.callers = self.house.callers.get

    @property
    def counters(self) -> dict[Label, Counter]:
        return self.house.counters

    @property
    def now(self) -> float:
        return self.clock.wall

    def view(self, name: Label) -> tuple[int, int]:
        self.accounts.looked_at(self.counters[name])
        return self.kept.view(self.counters[name])[:2]

    def views(self) -> dict[Label, int]:
        return {name: sum(self.view(name)) for name in self.counters}

    # Calls.

    @initialize(choices=st.fixed_dictionaries({name: st.sampled_from(values) for name, values in SETTINGS.items()}))
    def configure(self, choices):
        self.reload(**choices)

    @rule(
        key=st.sampled_from([*KEYS]), asked=st.sampled_from([1, 7, 30]), most=st.sampled_from([None, None, 0, 5, 16, 60, 500]),
        choices=st.sampled_from([1, 1, 3]), way=st.sampled_from(["chat", "chat", "stream", "embeddings"]),
        model=st.sampled_from(["a", "a", "a", "free"]), which=st.integers(0, 1),
    )  # fmt: skip
    def begin(self, key, asked, most, choices, way, model, which):
        self.calls += 1
        members: dict[str, Any] = {"model": model, "input": words(asked)}
        if way != "embeddings":
            members = {**chat(words(asked)), "model": model, "stream": way == "stream", "n": choices}
            members |= {} if most is None else {"max_tokens": most}
        operation = "chat" if way == "stream" else way
        call = asking(
            self.house.snapshot, members, self.house.callers[key], operation=operation, call_id=f"call-{self.calls}"
        )
        call.time = self.now
        one = Running(call, asked, most, choices)
        self.running.append(one)
        self.attempt(one, which)

    def attempt(self, one: Running, which: int) -> None:
        call, before = one.call, self.views()
        assert call.group is not None
        deployment = call.group.deployments[which % len(call.group.deployments)]
        one.priced = deployment.price is not None
        usual = self.kept.ledger.learned.output(deployment.model, one.key)
        refused = attempt(self.kept.ledger, call, deployment)
        if refused is not None:
            self.refused(one, refused, before)
            return
        shortest = call.account.shortest
        one.held = one.first if shortest is None else shortest * one.choices
        if one.held < one.first:
            assert one.least <= one.held <= max(usual, one.least)
            most = [counter for counter, _ in self.claims(call) if counter.unit is Unit.USD]
            assert any(before.get(label(each), 0) + one.cost(one.first) > each.limit for each in most) or self.old(call)
        hold = one.hold = Hold(self.clock.steady + LEASED)
        output = min(one.held, one.first if call.stream else usual)
        self.granted(one, hold, one.amounts(output), deployment)
        one.counted = one.counted or hold
        self.unwritten.clear()

    def old(self, call: Call) -> bool:
        """Tell whether limits have changed since a call came."""
        return call.snapshot is not self.house.snapshot or call.caller is not self.house.callers.get(
            call.caller.key_hash
        )

    @staticmethod
    def claims(call: Call) -> list[Any]:
        assert call.account.hold is not None
        return call.account.hold.claims

    def granted(self, one: Running, hold: Hold, amounts: dict[str, int], deployment: Any) -> None:
        """Write down what should be held, and see that it is what is."""
        call = one.call
        assert call.caller is not None
        own = [*call.counters, *(each for allowance in call.caller.allowances for each in allowance.every)]
        if one.counted:
            own = [each for each in own if each.unit is not Unit.REQUESTS]
        due = {label(each): (each, amounts[each.unit]) for each in (*own, *deployment.counters) if each.unit in amounts}
        assert {label(each): amount for each, amount in self.claims(call)} == {key: due[key][1] for key in due}
        for counter, amount in due.values():
            self.accounts.take(hold, counter, amount, counter.limit, self.now)

    def refused(self, one: Running, refused: Refused, before: dict[Label, int]) -> None:
        """See that a refusal says the truth, could not be helped, and changed nothing."""
        counter, amount = refused.claim
        name = self.accounts.looked_at(counter)
        count = refused.used + refused.held
        assert count + amount > counter.limit
        if counter.unit is Unit.USD:
            assert count + one.cost(one.least) > counter.limit
        if name not in self.accounts.loose and counter.algorithm <= Algorithm.LEASE:
            assert count == self.accounts.sum(name, self.now)
        if not self.old(one.call):
            assert self.views() == before

    def pick(self, which: int) -> Running:
        """Return one of the calls that hold something."""
        found = [one for one in self.running if one.open]
        return found[which % len(found)]

    @rule(key=st.sampled_from([*KEYS]), way=st.sampled_from(["chat", "stream"]), which=st.integers(0, 1))
    def begin_small(self, key, way, which):
        """Begin a call that fits in most budgets."""
        self.begin(key, 7, 5, 1, way, "a", which)

    @precondition(lambda self: any(one.open and one.call.stream for one in self.running))
    @rule(which=st.integers(0, 9), more=st.sampled_from([1, 40, 300]))
    def extend(self, which, more):
        streams = [one for one in self.running if one.open and one.call.stream]
        one = streams[which % len(streams)]
        output = min(one.held + more, one.bound)
        if output <= one.held:
            return
        before, claims = self.views(), len(self.claims(one.call))
        said = done(self.kept.ledger.extend(one.call, output))
        assert one.hold is not None
        if one.hold.state != "open":
            assert said == "the lease of this call has run out"
            return
        fresh = {label(each): each for allowance in self.house.callers[one.key].allowances for each in allowance.every}
        if said is not None:
            assert not self.could(one, output, fresh, before)
            return
        self.unwritten.clear()
        wide = max(output, min(2 * one.held, one.bound))
        rows = self.claims(one.call)[claims:]
        tokens = [amount for counter, amount in rows if counter.unit is Unit.TOKENS]
        target = one.held + tokens[0] if tokens else wide
        assert target in (wide, output)
        due = one.more(target)
        held = dict.fromkeys(entry.label for entry in one.hold.entries if entry.label.unit in due)
        assert [(label(counter), amount) for counter, amount in rows] == [(name, due[Unit(name.unit)]) for name in held]
        for counter, amount in rows:
            limit = fresh[label(counter)].limit if label(counter) in fresh else counter.limit
            assert counter.limit == limit
            self.accounts.take(one.hold, counter, amount, limit, self.now)
        one.held = target

    def could(self, one: Running, output: int, fresh: dict[Label, Counter], before: dict[Label, int]) -> bool:
        """Tell whether a stream could have had what it needs."""
        due = one.more(output)
        for counter, _ in self.claims(one.call):
            now = fresh.get(label(counter), counter)
            count = before.get(label(counter))
            if counter.unit in due and (count is None or self.old(one.call) or count + due[counter.unit] > now.limit):
                return False
        return True

    @precondition(lambda self: any(one.open for one in self.running))
    @rule(which=st.integers(0, 9), answered=st.integers(0, 30))
    def settle(self, which, answered):
        one = self.pick(which)
        shortest = one.call.account.shortest
        most = min(one.asked, answered, one.bound if shortest is None else shortest, one.bound // one.choices)
        output = min(most * one.choices, one.held)
        one.call.status, one.call.usage = 200, used(one.call, one.asked, output)
        self.kept.ledger.settle(one.call, one.call.usage)
        self.end(one, one.asked, output)

    def end(self, one: Running, asked: int, output: int) -> None:
        """Write down how a call ended, and see that ending it again changes nothing."""
        assert one.hold is not None
        spend = IN * asked + OUT * output if one.priced else 0
        one.hold.close({Unit.USD: spend, Unit.REQUESTS: 1, Unit.TOKENS: asked + output})
        one.hold.state = "closed"
        self.accounts.row(one.key, one.call.id, spend, asked, output)
        self.unwritten.clear()
        self.finish(one)

    def finish(self, one: Running) -> None:
        self.running.remove(one)
        before = self.views()
        self.kept.ledger.close(one.call)
        self.kept.ledger.release(one.call)
        self.kept.ledger.settle(one.call, None)
        assert self.views() == before

    @precondition(lambda self: any(one.open for one in self.running))
    @rule(which=st.integers(0, 9), deployment=st.sampled_from([None, 0, 1]))
    def fail(self, which, deployment):
        """Let an attempt fail that was sent, and try again."""
        one = self.pick(which)
        assert one.hold is not None
        self.kept.ledger.settle(one.call, None, final=False)
        one.hold.close({Unit.REQUESTS: 1})
        one.hold.state = "closed"
        self.unwritten.clear()
        if deployment is not None:
            self.attempt(one, deployment)

    @precondition(lambda self: any(one.open for one in self.running))
    @rule(which=st.integers(0, 9), deployment=st.sampled_from([None, 0, 1]))
    def release(self, which, deployment):
        """Let an attempt fail that was not sent, and try again."""
        one = self.pick(which)
        assert one.hold is not None
        self.kept.ledger.release(one.call)
        one.hold.close({})
        one.hold.state = "closed"
        one.counted = None if one.counted is one.hold else one.counted
        self.unwritten.append(one)
        if deployment is not None:
            self.attempt(one, deployment)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 9))
    def leave(self, which):
        """Let a client go: what was asked is charged, what was answered nobody knows."""
        self.cancel(self.running[which % len(self.running)])

    def cancel(self, one: Running) -> None:
        self.kept.ledger.close(one.call)
        if one.open:
            self.end(one, one.asked, 0)
            return
        if one.counted is not None:
            self.accounts.row(one.key, one.call.id, 0, 0, 0)
            self.unwritten.clear()
        self.finish(one)

    # What happens meanwhile.

    @rule(how=st.sampled_from(["at once", "folded", "folded, and the journal not told"]))
    def crash(self, how):
        """End the process at any moment, and begin the next one: open calls are charged what they held."""
        folder, journal = self.kept.durable.folder, self.kept.durable.journal
        if how == "folded":
            self.fold()
        elif how != "at once":
            folder._fold_records(journal.written(folder.position, journal.position))
        for one in [*(one for one in self.running if one.open), *self.unwritten]:
            assert one.hold is not None
            one.hold.close(None)
            self.accounts.row(one.key, one.call.id, one.cost(one.held), one.asked, one.held)
        self.running, self.unwritten = [], []
        self.kept.restart()
        self.kept.ledger.callers = self.house.callers.get

    @rule(name=st.sampled_from([*SETTINGS]), which=st.integers(0, 9))
    def change(self, name, which):
        """Reload with another limit or algorithm, or a policy less or more."""
        self.reload(**{name: SETTINGS[name][which % len(SETTINGS[name])]})

    @rule(which=st.integers(0, 30), held=st.booleans())
    def reset(self, which, held):
        """Let a counter begin anew: any, or one that something is held of."""
        opened = [one.hold for one in self.running if one.hold is not None and one.open and held]
        names = sorted(
            {entry.label for hold in opened for entry in hold.entries} & {*self.counters} or {*self.counters}
        )
        counter = self.counters[names[which % len(names)]]
        done(self.kept.ledger.reset(counter))
        self.accounts.begin_anew(self.accounts.looked_at(counter))
        self.unwritten.clear()

    @rule(seconds=st.sampled_from([0.5, 1, 7, 29.5, 30, 59.5, 60, 61, 3_600, 86_400, "hour", "day"]))
    def turn(self, seconds):
        lengths = {"hour": 3_600, "day": 86_400}
        self.clock.turn(lengths[seconds] - self.now % lengths[seconds] if seconds in lengths else seconds)
        for one in self.running:
            if one.hold is not None and one.hold.state == "open" and one.hold.expires <= self.clock.steady:
                one.hold.close(None)
                one.hold.state = "estimated"

    @rule()
    def sweep_and_renew(self):
        ledger = self.kept.ledger
        done(ledger.counters.sweep())
        lost = done(ledger.counters.renew([*ledger._open.values()]))
        assert {hold.id.call for hold in lost} == {one.call.id for one in self.running if one.open} - self.leased()
        for one in self.running:
            if one.hold is not None and one.hold.state == "open":
                one.hold.expires = self.clock.steady + LEASED

    def leased(self) -> set[str]:
        return {one.call.id for one in self.running if one.hold is not None and one.hold.state == "open"}

    @rule()
    def fold(self):
        self.kept.fold()
        self.unwritten.clear()

    # What holds all the time.

    @invariant()
    def counters_have_what_was_granted(self):
        for name in self.counters:
            used_up, held = self.view(name)
            assert min(used_up, held) >= 0, name
            total = self.accounts.sum(name, self.now)
            algorithm = self.accounts.algorithms[name]
            if algorithm <= Algorithm.LEASE and name not in self.accounts.loose:
                assert used_up + held == total, name
            elif algorithm is Algorithm.SLIDING:
                assert used_up + held >= total, name

    @invariant()
    def no_hold_outlives_its_lease_and_none_is_forgotten(self):
        ledger = self.kept.ledger
        assert self.kept.leased() == self.leased()
        assert {one.call for one in ledger._open} == {one.call.id for one in self.running if one.open}

    @invariant()
    def no_call_costs_more_than_it_held_and_keys_have_spent_what_their_rows_say(self):
        assert not self.kept.ledger.overruns.get("usd")
        assert {key: self.kept.ledger.spent.of(key) for key in KEYS} == {key: self.accounts.spent[key] for key in KEYS}

    def teardown(self):
        try:
            for one in [*self.running]:
                self.cancel(one)
            self.agrees()
        finally:
            self.kept.end()
            shutil.rmtree(self.directory)

    def agrees(self) -> None:
        """See that rows, sums and counters in the store are what the account says."""
        rows = [(row.request_id, row.spend, row.prompt_tokens, row.completion_tokens) for row in self.kept.rows()]
        assert sorted(rows) == sorted(self.accounts.rows)
        store = self.kept.durable.store
        assert {key: one.spend for key, one in store.totals(Sums.KEY).items()} == dict(self.accounts.spent)
        team = store.totals(Sums.TEAM).get("t")
        assert (team.requests if team else 0) == len(rows)
        assert (team.input_tokens if team else 0) == sum(asked for _, _, asked, _ in rows)
        assert store.holds() == []
        ids = self.house.ids
        due = {(ids[name], until): amount for (name, until), amount in self.accounts.amounts(self.now).items()}
        loose = {ids[name] for name in self.accounts.loose}
        assert {key: amount for key, amount in self.kept.amounts().items() if amount and key[0] not in loose} == due


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
SEED = settings(max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=SLOW)
Laws.TestCase.settings = SEED
TestLaws = Laws.TestCase


@pytest.mark.soak
def test_the_laws_hold_in_thousands_of_steps():
    stateful.run_state_machine_as_test(Laws, settings=settings(SEED, max_examples=3_000, stateful_step_count=80))
