"""What `/metrics` says, read by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from engine.call import Call, Caller, Usage
from engine.errors import ClientError, UpstreamError
from engine.metrics import SECONDS, SERIES, Metrics
from tests.engine.building import call_of, compiled, config

SNAPSHOT = compiled(config({'a"\\b': "echo/a"})).snapshot


def ended(status: int = 200, model: str = 'a"\\b', usage: Usage | None = None, first: float = 0.0) -> Call:
    call = call_of(SNAPSHOT, Caller("hash"), model)
    group = SNAPSHOT.find(model)
    call.deployment = group.deployments[0] if group else None
    call.status, call.usage, call.arrived, call.first_byte = status, usage, 10.0, first
    return call


def samples(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    """Parse everything: sample name -> label values in order of their names -> value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(metrics.render()):
        assert family.documentation
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), "a series twice"
            found[sample.name][labels] = sample.value
    return found


def test_calls_tokens_and_money():
    metrics = Metrics()
    used = Usage(10, 5)
    used.cost = 1_500_000_000
    metrics.observe(ended(usage=used, first=10.02), 0.02)
    metrics.observe(ended(usage=Usage(1, 1)), 70.0)
    metrics.observe(ended(404, "none"), 0.0)
    found = samples(metrics)
    labels = ('a"\\b', "echo", "chat", "200")
    assert found["interlock_requests_total"] == {labels: 2, ("", "", "chat", "404"): 1}
    assert found["interlock_tokens_total"]["input", *labels] == 11
    assert found["interlock_tokens_total"]["output", *labels] == 6
    assert found["interlock_spend_usd_total"][labels] == 1.5
    assert found["interlock_request_seconds_count"][labels] == 2
    assert found["interlock_request_seconds_sum"][labels] == 70.02
    assert found["interlock_first_byte_seconds_count"] == {labels: 1}


def test_buckets_are_cumulative_and_end_in_infinity():
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.006, 59.0, 1000.0):
        metrics.observe(ended(), seconds)
    found = samples(metrics)["interlock_request_seconds_bucket"]
    by_bound = {labels[0]: value for labels, value in found.items()}
    assert by_bound["0.005"] == 2
    assert by_bound["0.01"] == 3
    assert by_bound["60.0"] == 4
    assert by_bound["120.0"] == 4
    assert by_bound["+Inf"] == 5
    assert len(by_bound) == len(SECONDS) + 1


def test_refusals_by_whose_fault():
    metrics = Metrics()
    for error in (
        ClientError(401, "auth_error", "x"),
        ClientError(401, "auth_error", "y"),
        UpstreamError(502, "t", "z"),
    ):
        call = ended(error.status)
        call.error = error
        metrics.observe(call, 0.1)
    assert samples(metrics)["interlock_refusals_total"] == {("client", "auth_error"): 2, ("upstream", "t"): 1}


def test_the_process():
    metrics = Metrics()
    metrics.gauges = {"interlock_calls_active": ("calls under way", lambda: 3)}
    metrics.gap(0.2)
    metrics.gap(0.1)
    metrics.records_dropped = 4
    found = samples(metrics)
    assert found["interlock_calls_active"] == {(): 3}
    assert found["interlock_loop_gap_seconds_max"] == {(): 0.2}
    assert found["interlock_loop_gap_seconds_count"] == {("main",): 2}
    assert found["interlock_records_dropped_total"] == {(): 4}


def test_names_that_clients_invent_are_bounded():
    snapshot = compiled(config({"*": "echo/*"})).snapshot
    metrics = Metrics()
    for number in range(SERIES + 20):
        call = call_of(snapshot, Caller("hash"), f"m{number}")
        call.status, call.deployment = 200, snapshot.find(call.model).deployments[0]
        metrics.observe(call, 0.1)
    assert len(metrics._series) == SERIES + 1
    assert metrics._series["chat", "", "", 200].requests == 20
