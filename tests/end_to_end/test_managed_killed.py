"""Kill -9 at once behind an answer: what was answered is so, whatever it was."""

from __future__ import annotations

import threading

import pytest

from tests.end_to_end.managing import CONFIG, good, refused
from tests.running import Gateway

ROUNDS = 3


def start(folder, number):
    return Gateway(folder / f"run{number}", CONFIG, ("--data", str(folder / "data")), {}).start()


def test_a_kill_behind_an_answer_loses_no_key_and_raises_none(tmp_path):
    made: list[str] = []
    deleted: list[str] = []
    for number in range(ROUNDS):
        running = start(tmp_path, number)
        made.append(good(running.post("/key/generate", {"key_alias": f"run {number}"}))["key"])
        if number:
            good(running.post("/key/delete", {"keys": [made[number - 1]]}))
            deleted.append(made[number - 1])
        running.process.kill()
        running.process.wait()
        running.stop()
    running = start(tmp_path, ROUNDS)
    for key in deleted:
        refused(running.chat(key=key), 401, "token_not_found_in_db")
    assert running.chat(key=made[-1]).status == 200
    running.stop()


@pytest.mark.parametrize("after", [0.05, 0.15, 0.3])
def test_a_kill_among_many_changes_loses_none_that_was_answered(tmp_path, after):
    running = start(tmp_path, 0)
    answered: list[str] = []

    def make():
        try:
            while True:
                answered.append(good(running.post("/key/generate", {}))["key"])
        except (OSError, ValueError):
            return

    threads = [threading.Thread(target=make) for _ in range(4)]
    killer = threading.Timer(after, running.process.kill)
    for thread in (*threads, killer):
        thread.start()
    for thread in (*threads, killer):
        thread.join()
    running.stop()
    again = start(tmp_path, 1)
    listed = good(again.get("/key/list?size=100"))
    assert listed["total_count"] - 3 in range(len(answered), len(answered) + 5), "the file declares three keys"
    for key in answered:
        assert good(again.get("/key/info", key=key))
    again.stop()
