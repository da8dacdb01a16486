"""Recorded traffic of many providers, carried through a gateway process: what arrives is what they said."""

from __future__ import annotations

import json
import random
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from tests.end_to_end import transcripts
from tests.end_to_end.transcripts import (
    ERRORS,
    GOLDEN,
    UNLISTED,
    Recorded,
    ask_all,
    config,
    errors,
    price_name,
    replaying,
    usage,
)
from tests.engine.streams import events, without_usage
from tests.running import Answer

SPLIT = random.choice([5, 7, 11, 64, 100, 333])
EVERY_SPLIT = [1, 2, 3, 4, 5, 6, 7, 99, 100, 101]
PIECES = {
    "cohere/rerank-01.json": "0.002",  # one unit of search
    "mistral/audio-01.json": "0.00015",  # three seconds
    "xai/images-01.json": "0.02",  # one picture, as xAI bills it
}
"""What is charged of an exchange by something other than tokens, in USD."""
TICK = Decimal("1e-10")
"""What xAI's `cost_in_usd_ticks` counts, in USD."""


def judge(one: Recorded, answer: Answer, *, asked: bool) -> None:
    """Assert that an answer is the recorded one."""
    assert answer.status == one.status, one.file
    if one.status >= 400 and not json.loads(ERRORS.read_text())[one.file]["as_it_came"]:
        assert "refused the call: " in answer.json()["error"]["message"], one.file
        return
    hides = one.event_stream and one.stream and not asked and one.operation in {"chat/completions", "completions"}
    assert answer.body == (without_usage(one.body) if hides else one.body), one.file
    assert answer.headers["x-litellm-model-group"] == one.name


def carry(gateway, shared, *options: str) -> dict[str, dict[str, Any]]:
    """Carry every exchange through one gateway: as recorded, and streams again without asking for usage."""
    exchanges = transcripts.load(shared)
    asking = [one for one in exchanges if one.asks_usage]
    assert len(exchanges) > 190
    assert {one.operation.partition("/")[0] for one in exchanges} >= {"images", "audio", "moderations", "rerank"}
    assert len(asking) > 20
    with replaying(shared, *options) as upstream:
        running = gateway(config(exchanges, upstream))
        answers = ask_all(running, exchanges)
        for one, answer in zip(exchanges, answers, strict=True):
            judge(one, answer, asked=one.asks_usage)
        assert errors(exchanges, answers) == json.loads(ERRORS.read_text())
        used = usage(running, len(exchanges))
        for one, answer in zip(asking, ask_all(running, asking, ask=False), strict=True):
            judge(one, answer, asked=False)
        again = usage(running, len(exchanges) + len(asking))
        assert {name: row for name, row in again.items() if not row.get("estimated")} == {
            name: row for name, row in used.items() if not row.get("estimated")
        }
        return used


def test_recorded_exchanges_arrive_as_they_were_and_cost_what_is_known(gateway, shared):
    assert carry(gateway, shared) == json.loads(GOLDEN.read_text())


def test_recorded_exchanges_cut_anywhere_arrive_the_same(gateway, shared):
    assert carry(gateway, shared, "--chunk-bytes", str(SPLIT)) == json.loads(GOLDEN.read_text()), SPLIT


def test_streams_that_break_off_end_with_an_error_and_bodies_become_502(gateway, shared):
    found = transcripts.load(shared)
    exchanges = [
        one for one in found if one.status == 200 and len(one.body) > 2000 and not one.operation.startswith("audio")
    ]
    with replaying(shared, "--truncate", "1500") as upstream:
        running = gateway(config(exchanges, upstream))
        for one, answer in zip(exchanges, ask_all(running, exchanges), strict=True):
            if answer.status == 502:
                first = events(one.body)[0][1] if one.event_stream else one.body
                assert answer.json()["error"]["type"] == "upstream_error"
                assert len(first) > 1400, one.file
                continue
            *whole, last = [event for event in events(answer.body) if event[1] != b"[DONE]"]
            kind = json.loads(last[1])
            assert kind.get("type", "error") == "error", one.file
            assert kind.get("code") == "upstream_error" or kind["error"]["code"] == "502", one.file
            assert whole == events(one.body)[: len(whole)], one.file


@pytest.mark.soak
@pytest.mark.parametrize("size", EVERY_SPLIT)
def test_recorded_exchanges_cut_everywhere_arrive_the_same(gateway, shared, size):
    assert carry(gateway, shared, "--chunk-bytes", str(size)) == json.loads(GOLDEN.read_text())


def test_golden_counts_follow_from_what_the_providers_report(shared):
    golden = json.loads(GOLDEN.read_text())
    answered = {one.file: one for one in transcripts.load(shared) if one.status == 200}
    assert golden.keys() == answered.keys()
    for file, row in golden.items():
        one = answered[file]
        reported = last_usage(one)
        counts = {name: row[name] for name in ("input", "output", "cached", "reasoning")}
        if reported is not None:
            assert counts == reckoned(reported), file
            assert "estimated" not in row
        elif one.event_stream:
            frames = len(events(one.body))
            assert counts == {"input": len(one.sent()) // 4, "output": frames, "cached": 0, "reasoning": 0}, file
            assert row["estimated"]
        elif one.operation != "audio/speech":
            assert counts == dict.fromkeys(counts, 0), file


def last_usage(one: Recorded) -> dict[str, Any] | None:
    """Find the usage that stands last: on top, under `x_groq`, or in a response event."""
    found = None
    for data in [data for _, data in events(one.body)] if one.event_stream else [one.body]:
        if data.strip().startswith(b"{"):
            answer = json.loads(data)
            places = (answer, answer.get("x_groq") or {}, answer.get("response") or {})
            found = next((place["usage"] for place in places if place.get("usage")), found)
    return found


def reckoned(reported: dict[str, Any]) -> dict[str, int]:
    """Count slowly: what is not input is output, for xAI and Gemini leave reasoning out of `completion_tokens`."""
    total = reported.get("total_tokens", 0)
    given = reported.get("prompt_tokens", reported.get("input_tokens", total))
    read = reported.get("prompt_tokens_details") or reported.get("input_tokens_details") or {}
    if "prompt_audio_seconds" in reported:
        # Mistral counts what was heard beside the prompt.
        given += read.get("audio_tokens", 0)
    written = reported.get("completion_tokens_details") or reported.get("output_tokens_details") or {}
    return {
        "input": given,
        "output": total - given,
        "cached": read.get("cached_tokens", reported.get("cached_tokens", 0)),
        "reasoning": written.get("reasoning_tokens", reported.get("reasoning_tokens", 0)),
    }


def test_golden_costs_follow_from_the_published_prices(shared):
    golden = json.loads(GOLDEN.read_text())
    lines = (shared / "pricing" / "model_prices.jsonl").read_text().splitlines()
    published = {row["model"]: row for row in (json.loads(line, parse_float=Decimal) for line in lines)}
    unlisted = {field: Decimal(str(value)) for field, value in UNLISTED.items()}
    for one in transcripts.load(shared):
        row = golden.get(one.file)
        if row is not None and row["cost"] is not None:
            name = price_name(one, set(published))
            reported = last_usage(one)
            # An estimate is made without an answer, and so at the plain tier's price.
            flex = reported is not None and b'"service_tier":"flex"' in one.body.replace(b'": ', b'":')
            price = unlisted if name is None else published[name]
            pieces = Decimal(PIECES.get(one.file, "0"))
            assert row["cost"] == cost(row, price, reported or {}, flex=flex) + int(pieces * 10**9), one.file


def cost(row: dict[str, Any], price: dict[str, Any], reported: dict[str, Any], *, flex: bool) -> int:
    """Compute nano-dollars from a golden row and a row of the published list."""

    def rate(field: str, otherwise: Decimal) -> Decimal:
        return Decimal(price.get(f"{field}_flex" if flex else field, price.get(field, otherwise)))

    plain, out = rate("input_cost_per_token", Decimal(0)), rate("output_cost_per_token", Decimal(0))
    cached = min(row["cached"], row["input"])
    read = reported.get("input_tokens_details") or {}
    kept = read.get("cache_write_tokens", 0)
    fees = price.get("search_context_cost_per_query", {})
    fee = fees.get(f"search_context_size_{reported.get('search_context_size')}", Decimal(0))
    spoken = (reported.get("completion_tokens_details") or {}).get("audio_tokens", 0)
    usd = (
        fee
        + (row["input"] - cached - kept) * plain
        + kept * rate("cache_creation_input_token_cost", plain)
        + cached * rate("cache_read_input_token_cost", plain)
        + (row["output"] - row["reasoning"] - spoken) * out
        + row["reasoning"] * rate("output_cost_per_reasoning_token", out)
        + spoken * rate("output_cost_per_audio_token", out)
    )
    return int((usd * 10**9).to_integral_value(ROUND_HALF_UP))


def test_golden_costs_of_xai_are_those_that_xai_reports(shared):
    golden = json.loads(GOLDEN.read_text())
    compared = 0
    for one in transcripts.load(shared):
        # The list has other prices for grok-code-fast-1 than the recorded answer was billed at.
        if one.file in golden and one.request.get("model") == "grok-4.3" and one.provider == "xai":
            ticks = (last_usage(one) or {})["cost_in_usd_ticks"]
            assert golden[one.file]["cost"] == ticks * TICK * 10**9, one.file
            compared += 1
    assert compared == 4


def test_golden_costs_of_perplexity_are_those_that_perplexity_reports(shared):
    golden = json.loads(GOLDEN.read_text())
    compared = 0
    for one in transcripts.load(shared):
        if one.provider == "perplexity" and one.file in golden and one.operation == "chat/completions":
            said = Decimal(str((last_usage(one) or {})["cost"]["total_cost"]))
            # Perplexity rounds its parts to a hundredth of a thousandth.
            assert abs(golden[one.file]["cost"] - said * 10**9) <= 10_000, one.file
            compared += 1
    assert compared == 5


def test_golden_errors_hold_no_recorded_text():
    for row in json.loads(ERRORS.read_text()).values():
        assert row.keys() <= {"status", "as_it_came", "type", "param", "code"}
