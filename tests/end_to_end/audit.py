"""An audit: what clients were told that their calls cost, against what a gateway has written down and what it counts."""

from __future__ import annotations

import re
from collections import Counter

from engine.digest import digest
from tests.end_to_end.books import Line, Place, cost_of, day_sums, left_of, lines, nano, open_holds, spent
from tests.end_to_end.spending import BUDGET, IN, LEFT, MADE, POOR, RATED, RICH, Asked
from tests.running import Gateway

KEYS = (RICH, POOR, RATED, MADE)


class Ledger:
    """What the clients know, against what the gateway says. `cuts` says whether streams may have ended early, at what was sent."""

    def __init__(self, data: Place, limit: int, calls: int, *, cuts: bool = False) -> None:
        self.data = data
        self.limit, self.calls = limit, calls
        self.answered: dict[str, Asked] = {}
        self.unanswered: list[Asked] = []
        self.cuts = cuts
        self.estimated = 0

    def add(self, asked: list[Asked]) -> None:
        """Take up a round."""
        for one in asked:
            if one.status == 200:
                assert one.request_id is not None
                assert one.request_id not in self.answered
                self.answered[one.request_id] = one
            elif one.status in {0, LEFT, 503}:
                self.unanswered.append(one)

    def limited(self, times: float) -> None:
        """Set limits that are reached after so many rounds like the one that was."""
        costs = [one.cost or 0 for one in self.answered.values() if one.key == POOR]
        costs += [one.most for one in self.unanswered if one.key == POOR]
        self.limit = int(sum(costs) * times) // 1000 * 1000
        rated = sum(one.key == RATED for one in (*self.answered.values(), *self.unanswered))
        self.calls = int(rated * times)

    def check(self) -> None:
        """Go through rows and sums."""
        rows = lines(self.data)
        assert open_holds(self.data) == 0
        doubled = [name for name, count in Counter(row.request_id for row in rows).items() if count > 1]
        assert doubled == []
        by_id = {row.request_id: row for row in rows}
        lost = [name for name in self.answered if name not in by_id]
        assert lost == []
        wrong = [
            (one, row)
            for one, row in ((one, by_id[name]) for name, one in self.answered.items())
            if (row.api_key, row.spend, row.status) != (digest(one.key), one.cost, "success")
            or row.estimated > self.cuts
        ]
        assert wrong == [], wrong[:3]
        self._others([row for row in rows if row.request_id not in self.answered])
        sums: dict[str, tuple[int, int]] = {}
        for row in rows:
            count, amount = sums.get(row.api_key, (0, 0))
            sums[row.api_key] = count + 1, amount + row.spend
        assert sums == day_sums(self.data)
        assert sums[digest(POOR)][1] <= self.limit
        assert sums[digest(RATED)][0] <= self.calls

    def _others(self, rows: list[Line]) -> None:
        """Match the rows of calls that nobody was answered: no more of them than were asked, none above what it may cost."""
        self.estimated = sum(row.estimated for row in rows)
        for key in KEYS:
            mosts = sorted((one.most for one in self.unanswered if one.key == key), reverse=True)
            spends = sorted((row.spend for row in rows if row.api_key == digest(key)), reverse=True)
            assert len(spends) <= len(mosts)
            beyond = [pair for pair in zip(spends, mosts, strict=False) if pair[0] > pair[1]]
            assert beyond == [], key
        assert {row.api_key for row in rows} <= {digest(key) for key in KEYS}

    def spent_by(self, key: str) -> int:
        return day_sums(self.data).get(digest(key), (0, 0))[1]

    def unknown(self, key: str) -> int:
        """Return what counters may have beyond the rows: what was granted to a process that died before it wrote that down."""
        return sum(one.most for one in self.unanswered if one.key == key) if self.cuts else 0


def agreed(running: Gateway, ledger: Ledger) -> None:
    """Check that counters have what the rows have, by calls that say what is left; take up these calls."""
    rich = "api_key", nano(BUDGET)
    for key, name, limit in ((RICH, *rich), (MADE, *rich), (POOR, "poor", ledger.limit)):
        before, unknown = ledger.spent_by(key), ledger.unknown(key)
        assert spent(running, key) == before, (key, spent(running, key), before)
        answer = running.post("/v1/embeddings", {"model": "echo", "input": "hello"}, key)
        if answer.status == 200:
            assert cost_of(answer.headers) == IN
            assert 0 <= limit - before - IN - left_of(answer.headers, name) <= unknown, (
                key,
                answer.headers,
                limit - before - IN,
            )
            assert nano(float(answer.headers["x-litellm-key-spend"])) == before + IN, (key, answer.headers, before)
            ledger.add([Asked(key, IN, 200, answer.headers["x-litellm-call-id"], IN)])
        else:
            assert answer.json()["error"]["type"] == "budget_exceeded"
            said = re.search(r"Current cost: ([0-9.]+)", answer.json()["error"]["message"])
            assert said is not None, answer.body
            assert 0 <= nano(float(said[1])) - before <= unknown, (answer.body, before)
            assert before + unknown + IN > limit
    rated = running.chat(key=RATED, max_tokens=16)
    used = day_sums(ledger.data)[digest(RATED)][0]
    most = used + sum(one.key == RATED for one in ledger.unanswered) if ledger.cuts else used
    assert rated.status == (429 if used >= ledger.calls else 200) or (rated.status == 429 and most >= ledger.calls), (
        used,
        rated.body,
    )
    if rated.status == 200:
        ledger.add([Asked(RATED, nano(1), 200, rated.json()["id"], cost_of(rated.headers))])
