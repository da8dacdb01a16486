"""What several processes say of themselves, as what one gateway says."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.metrics import Metrics
from engine.workers.merging import counted, summed, whole_metrics, whole_state, written


def said(calls: int, gap: float, revision: int = 3, active: int = 1) -> str:
    metrics = Metrics()
    metrics.records_dropped = calls
    metrics.gap(gap)
    metrics.reloaded(good=False)
    metrics.gauges = {
        "interlock_calls_active": ("calls under way", lambda: active),
        "interlock_revision": ("revision in force", lambda: revision),
    }
    return metrics.render()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_sums_and_what_is_no_sum():
    own = Metrics()
    own.reloaded(good=True)
    whole = samples(whole_metrics(own.render(), [said(2, 0.1, revision=4), said(5, 0.3)], 2, 2))
    assert whole["interlock_records_dropped_total", ()] == 7
    assert whole["interlock_calls_active", ()] == 2
    assert whole["interlock_loop_gap_seconds_max", ()] == pytest.approx(0.3)
    assert whole["interlock_loop_gap_seconds_count", (("loop", "main"),)] == 2
    assert whole["interlock_loop_gap_seconds_sum", (("loop", "main"),)] == pytest.approx(0.4)
    assert whole["interlock_revision", ()] == 3
    assert whole["interlock_config_in_sync", ()] == 1, "the master's word"
    assert whole["interlock_reloads_total", (("outcome", "refused"),)] == 0
    assert (whole["interlock_workers", ()], whole["interlock_workers_running", ()]) == (2, 2)


def test_what_a_dead_worker_counted_stays_and_what_it_had_does_not():
    gone = written(summed(["", counted(said(9, 0.2, active=6))]))
    whole = samples(whole_metrics(Metrics().render(), [said(1, 0.1), gone], 2, 1))
    assert whole["interlock_records_dropped_total", ()] == 10
    assert whole["interlock_calls_active", ()] == 1


def test_a_family_that_only_one_has_is_there():
    whole = whole_metrics(
        Metrics().render(), [said(1, 0.1), '# HELP a_total b\n# TYPE a_total counter\na_total{x="1 2"} 3\n'], 2, 2
    )
    assert samples(whole)["a_total", (("x", "1 2"),)] == 3


WELL = {
    "ready": True, "db": "connected", "journal": "healthy", "counters": "connected", "cache": None, "revision": 3, "draining": False,
    "components_down": {}, "policies": 4,
}  # fmt: skip


def test_a_gateway_is_ready_while_every_worker_that_answers_is():
    assert whole_state([WELL, WELL], 2)["ready"]
    assert whole_state([WELL], 2) == {**WELL, "workers": {"configured": 2, "running": 1}}
    ill = {**WELL, "ready": False, "journal": "disk full", "revision": 2, "components_down": {"records": "OSError"}}
    whole = whole_state([WELL, ill], 2)
    assert not whole["ready"]
    assert (whole["journal"], whole["revision"]) == ("disk full", 2)
    assert whole["components_down"] == {"records": "OSError"}
    assert whole_state([], 2) == {"ready": False, "workers": {"configured": 2, "running": 0}}
