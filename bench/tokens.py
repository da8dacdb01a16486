"""Measure the token estimate against what providers counted: `python -m bench.tokens --transcripts DIR`.

Recorded exchanges are split in two by the SHA-256 of provider and file name. Coefficients are fitted on one half (`--fit`
prints what fits it best, to be copied into engine/tokens.py by hand); the errors printed are those of the other half.
What the estimate is made of, its families and what is left out were chosen with both halves in view, so that traffic of
other kinds will show larger errors.
Left out: requests with pictures, sounds or documents, tools that providers run, failed ones, and those that refer to what
is stored elsewhere, for the text of these is not in the request. Error = |estimate - counted| / counted; `short` is the
99th percentile of (counted - estimate) / estimate where positive, which is what a margin has to cover.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.tokens import FAMILIES, Asked, Family, asked, estimate, family_of

USED = ("input_tokens", "prompt_tokens", "promptTokenCount", "inputTokens", "prompt_eval_count", "input_token_count")
CACHED = ("cache_creation_input_tokens", "cache_read_input_tokens", "cacheReadInputTokens", "cacheWriteInputTokens")
LEFT_OUT = frozenset({"vision", "audio_in", "document_in", "video_in", "server_tools", "citations_out", "constructed"})
ELSEWHERE = frozenset({"previous_response_id", "conversation", "cachedContent", "web_search_options", "documents"})
SEARCHED = frozenset({"perplexity", "groq/compound"})
"""Providers and models that search the web unasked, and count what they read."""
APIS = frozenset(
    {
        "chat.completions",
        "completions",
        "responses",
        "messages",
        "generateContent",
        "converse",
        "count_tokens",
        "chat",
        "generate",
    }
)
STEPS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("schema", tuple(range(400, 1_601, 100))),
    ("base", tuple(range(0, 80_001, 2_000))),
    ("message", tuple(range(0, 8_001, 1_000))),
    ("tools", tuple(range(0, 400_001, 10_000))),
)
"""What is fitted, and the values that are tried. What text comes to (`factor`, `wide`) is not: the texts recorded are too
short to tell, so it stays at ratios measured against the tokenizers themselves, on other texts."""


OPEN = ("llama", "mistral", "qwen", "default")
"""Families too seldom recorded with tools to be fitted alone."""


class Exchange(NamedTuple):
    """One recorded exchange: what was asked, and the input tokens that the provider counted."""

    name: str
    family: str
    kind: str
    asked: Asked
    counted: int

    @property
    def size(self) -> str:
        """Whether the text outweighs what a provider adds to it."""
        return "100 and more" if self.counted >= 100 else "under 100"

    @property
    def fitted(self) -> bool:
        """Whether it is of the half that coefficients are fitted on."""
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 0


def exchanges(directory: Path) -> Iterator[Exchange]:
    """Read what can be compared of a directory of recorded exchanges."""
    for path in sorted(directory.glob("*/*.json")):
        one = json.loads(path.read_text())
        body, tags = one["request"].get("body"), set(one.get("tags") or ())
        if one["api"] not in APIS or not isinstance(body, dict) or one.get("request_recorded") is False:
            continue
        if (
            tags & LEFT_OUT
            or ELSEWHERE & body.keys()
            or one["fidelity"] == "constructed"
            or SEARCHED & {one["provider"], str(one.get("model"))}
        ):
            continue
        counted = used(one["response"].get("body"))
        if counted:
            members = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
            yield Exchange(f"{path.parent.name}/{path.name}", family(one), kind(body), asked(members), counted)


def used(answer: object) -> int:
    """Return the input tokens that an answer names, cached ones included; 0 where it names none."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    for name in USED:
        found = [int(one) for one in re.findall(rf'"{name}"\s*:\s*(\d+)', text)]
        if any(found):
            cached = (
                [re.findall(rf'"{other}"\s*:\s*(\d+)', text) for other in CACHED]
                if name in {"input_tokens", "inputTokens"}
                else []
            )
            return (min if "billed_units" in text else max)(found) + sum(max(map(int, one)) for one in cached if one)
    return 0


def family(one: dict[str, Any]) -> str:
    """Return the family of the model that an exchange was with."""
    found = family_of(str(one.get("model") or ""))
    return {"anthropic": "anthropic", "gemini": "gemini"}.get(one["provider"], found) if found == "default" else found


def kind(body: dict[str, Any]) -> str:
    """Return what kind of text a request mostly holds."""
    if body.get("tools") or body.get("functions") or body.get("toolConfig"):
        return "tools"
    text = json.dumps(body, ensure_ascii=False)
    if 10 * sum("\u3000" <= one <= "\u9fff" or "\uac00" <= one <= "\ud7af" for one in text) > len(text):
        return "chinese"
    return (
        "code"
        if re.search(r"```|\bdef \w+\(|\bfunction\b|</\w+>|\\{\\n", text)
        else "json"
        if '"schema"' in text
        else "prose"
    )


def error(one: Exchange) -> float:
    """Return the relative error of the estimate."""
    return abs(one.asked.tokens(one.family) - one.counted) / one.counted


def fit(found: list[Exchange], start: Family) -> Family:
    """Find the coefficients with the least mean logarithm of counted over estimated, either way, one after the other, three rounds."""

    def cost(family: Family) -> float:
        return sum(abs(math.log(max(1, one.asked.priced(family)) / one.counted)) for one in found)

    best = start
    for _ in range(3):
        for name, values in STEPS:
            best = min((best._replace(**{name: value}) for value in (getattr(best, name), *values)), key=cost)
    return best


def rank(errors: Iterable[float], percent: int) -> float:
    """Return a percentile by rank, rounded up."""
    listed = sorted(errors)
    return listed[max(0, -(-len(listed) * percent // 100) - 1)] if listed else 0.0


def table(held: list[Exchange]) -> Iterator[str]:
    """Write the rows of errors: by family, by kind, and of all."""
    yield f"{'':20}{'n':>5}{'median':>9}{'p95':>9}{'p99':>9}{'short':>9}"
    names = [("family", one) for one in FAMILIES] + [
        ("kind", one) for one in ("prose", "chinese", "code", "json", "tools")
    ]
    for what, name in [*names, ("size", "under 100"), ("size", "100 and more"), ("", "all")]:
        rows = [one for one in held if not what or getattr(one, what) == name]
        if rows:
            errors = [error(one) for one in rows]
            short = [max(0.0, one.counted / max(1, one.asked.tokens(one.family)) - 1) for one in rows]
            cells = "".join(f"{value:9.1%}" for value in (*(rank(errors, p) for p in (50, 95, 99)), rank(short, 99)))
            yield f"{what + ' ' + name:20}{len(rows):5}{cells}"
        elif what == "kind":
            yield f"{what + ' ' + name:20}{0:5}  none recorded with usage"


def speed(text: str, family: str = "openai") -> float:
    """Return µs for a KB of a text, the best of five runs."""
    raw = (text.encode() * (1 + 65_536 // max(1, len(text.encode()))))[:65_536]
    best = 1e9
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(20):
            estimate(raw, family)
        best = min(best, time.perf_counter() - begun)
    return best / 20 / 64 * 1e6


SAMPLES = {
    "English": "A ferry left the harbour at seven, two hours late, with 40 people on board. ",
    "Chinese": "渡轮七点离开港口、晚了两个小时、船上有四十个人。",
    "code": "for row in rows:\n    total += row['price'] * 3\n",
    "JSON": '{"id":17,"name":"north","open":true,"tags":["a","b"]},',
}


def main() -> None:
    """Print the errors of the half that nothing was fitted on, and the speed."""
    parser = argparse.ArgumentParser(description="Measure the token estimate against recorded usage.")
    parser.add_argument("--transcripts", type=Path, required=True)
    parser.add_argument("--fit", action="store_true", help="print what fits the other half best, by family")
    chosen = parser.parse_args()
    found = list(exchanges(chosen.transcripts))
    if chosen.fit:
        halves = {name: [one for one in found if one.fitted and one.family == name] for name in FAMILIES}
        for name, half in [*halves.items(), ("open", [one for each in OPEN for one in halves[each]])]:
            tools = sum(one.asked.tools > 0 for one in half)
            print(
                f"{name:10}{len(half):3}, with tools {tools:2}  {fit(half, FAMILIES.get(name) or FAMILIES['default'])}"
            )
    held = [one for one in found if not one.fitted]
    print(f"Coefficients are of the other half ({len(found) - len(held)} exchanges); errors are of these {len(held)}.")
    print("The form of the estimate, its families and what is left out were chosen with both halves in view.")
    print("\n".join(table(held)))
    for name, text in SAMPLES.items():
        print(f"{name:12}{speed(text):6.2f} µs/KB")


if __name__ == "__main__":
    main()
