"""Measure the local detectors on labelled texts: `python -m bench.guardrails DIR`.

DIR holds JSON Lines of `text`, `label` and `kind` (`pii.jsonl`, `secrets.jsonl.gz`, `prompt_injection.jsonl`, `jailbreak.jsonl`,
`harmful_content.jsonl`). Lines are split in two by the SHA-256 of their text: the `seen` half was looked at when rules were
written, the `sealed` half is only ever measured. Precision and recall are of lines: a line counts as hit where any hit is.

Left out, and why: personal data that takes a model to find (names, streets), and types that are not claimed, of the lines
that should hit; of the lines that should not, those that hold another type that is claimed (a URL among domain names);
public addresses among secrets, which are none. A line that should not be hit is one that a rule of its source must not report:
another rule of ours that finds something there counts as false all the same. Beside prompt injection stands a check in the
manner of LiteLLM's without a model: the text compared, piece by piece of as many words, with phrases of the kind `Ignore the
previous instructions`, a hit from a likeness of 0.7 on.
"""

from __future__ import annotations

import argparse
import difflib
import gzip
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters.detectors.categories import Categories
from adapters.detectors.code import Code
from adapters.detectors.keywords import Keywords
from adapters.detectors.language import Language
from adapters.detectors.pattern import Pattern
from adapters.detectors.pii import Pii
from adapters.detectors.prompt_injection import PromptInjection
from adapters.detectors.secrets import Secrets
from engine.contracts import Channel, TextSlot
from engine.guarding import Action, Redaction

HALVES = ("seen", "sealed")
WEAK = frozenset({"US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_PASSPORT", "PHONE_NUMBER", "URL"})
"""Types without a checksum or a form that says enough: counted among all, not among the checked."""
SUBJECTS = ("violence", "self_harm", "weapons", "drugs", "child_safety", "toxicity", "hate")
LIKENESS = 0.7
NEVER_SEEN = itertools.count(10_000)
"""What makes a text one that was not looked at before: of those that were, it is remembered that nothing was in them."""
PROSE = "Please summarise the report of Monday's meeting: 42 people came, and the team of 7 agreed on what to do next. "

Line = Mapping[str, Any]
Fires = Callable[[Line], bool]


class Score(NamedTuple):
    """How often lines were hit that should be, that should not, and were not that should."""

    hits: int
    false: int
    missed: int

    @property
    def precision(self) -> float:
        """Return the share of hits that are right."""
        return self.hits / max(1, self.hits + self.false)

    @property
    def recall(self) -> float:
        """Return the share of what should be hit that is."""
        return self.hits / max(1, self.hits + self.missed)


def half(text: str) -> str:
    """Return the half that a text is in."""
    return HALVES[hashlib.sha256(text.encode()).digest()[0] % 2]


def read(file: Path) -> list[Line]:
    """Read labelled lines; raises OSError."""
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def scored(lines: Sequence[Line], fires: Fires) -> Score:
    """Measure a detector on lines."""
    fired = [(bool(line["label"]), fires(line)) for line in lines]
    return Score(fired.count((True, True)), fired.count((False, True)), fired.count((True, False)))


def types_of(line: Line) -> set[str]:
    """Return the types of personal data that a line is about."""
    return set(str(line.get("category") or "").split(","))


def pii(lines: Sequence[Line], *, checked: bool) -> tuple[list[Line], Fires]:
    """Return the lines that are fair to ask for personal data, and the question."""
    detector = Pii("all")
    known = set(detector.types) - (WEAK if checked else set())

    def fires(line: Line) -> bool:
        return any(hit.type in known for hit in detector.find(line["text"]))

    others = {"DOMAIN_NAME", "TR_PHONE_NUMBER", "PH_MOBILE_NUMBER"}
    return [line for line in lines if (types_of(line) & known if line["label"] else not types_of(line) & others)], fires


def secrets(lines: Sequence[Line]) -> tuple[list[Line], Fires]:
    """Return the lines that are fair to ask for credentials, and the question."""
    detector = Secrets("all")
    kept = [line for line in lines if line.get("category") != "ip_public"]
    return kept, lambda line: bool(detector.find(line["text"]))


def phrases() -> list[str]:
    """Return the phrases that LiteLLM's check compares with."""
    verbs = (
        "Ignore",
        "Disregard",
        "Skip",
        "Forget",
        "Neglect",
        "Overlook",
        "Omit",
        "Bypass",
        "Pay no attention to",
        "Do not follow",
        "Do not obey",
    )
    adjectives = ("", "prior", "previous", "preceding", "above", "foregoing", "earlier", "initial")
    nouns = (
        "content",
        "text",
        "instructions",
        "directives",
        "commands",
        "context",
        "conversation",
        "input",
        "data",
        "message",
        "messages",
        "communication",
    )
    every = (f"{verb} {adjective} {noun}" for verb, adjective, noun in itertools.product(verbs, adjectives, nouns))
    return [" ".join(phrase.lower().split()) for phrase in every]


def heuristic(text: str, known: Sequence[str]) -> bool:
    """Tell what LiteLLM's check without a model tells: whether some piece of a text is like a phrase."""
    words = text.lower().split()[:200]
    for phrase in known:
        size = len(phrase.split())
        matcher = difflib.SequenceMatcher(None, "", phrase, autojunk=False)
        for at in range(max(1, len(words) - size + 1)):
            matcher.set_seq1(" ".join(words[at : at + size]))
            if (
                matcher.real_quick_ratio() > LIKENESS
                and matcher.quick_ratio() > LIKENESS
                and matcher.ratio() > LIKENESS
            ):
                return True
    return False


def injection(lines: Sequence[Line]) -> tuple[list[Line], Fires]:
    """Return the lines to ask for prompt injection, and the question."""
    detector = PromptInjection(True)
    return list(lines), lambda line: bool(detector.find(line["text"]))


def measured(folder: Path, where: str, *, compare: bool) -> Iterator[tuple[str, Score]]:
    """Yield the score of each kind on one half."""
    files = {name: [one for one in read(folder / file) if half(one["text"]) == where] for name, file in FILES.items()}
    yield "secrets", scored(*secrets(files["secrets"]))
    yield "pii, with checksum or form", scored(*pii(files["pii"], checked=True))
    yield "pii, all", scored(*pii(files["pii"], checked=False))
    attacks = [*files["prompt_injection"], *files["jailbreak"]]
    yield "prompt injection", scored(*injection(attacks))
    if compare:
        known = phrases()
        yield "prompt injection, LiteLLM's phrases", scored(attacks, lambda line: heuristic(line["text"], known))
    subjects = Categories(SUBJECTS)
    yield "categories", scored(files["harmful_content"], lambda line: bool(subjects.find(line["text"])))


FILES = {
    "secrets": "secrets.jsonl.gz", "pii": "pii.jsonl", "prompt_injection": "prompt_injection.jsonl", "jailbreak": "jailbreak.jsonl",
    "harmful_content": "harmful_content.jsonl",
}  # fmt: skip


def cost(run: Callable[[], object], least: float = 0.2) -> float:
    """Return the least µs that one run takes, of runs for a while."""
    run()
    best, until = float("inf"), time.perf_counter() + least
    while time.perf_counter() < until:
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best * 1e6


def detectors() -> dict[str, list[Any]]:
    """Make what is measured, by name."""
    patterns = [
        Pattern({"pattern": rf"\b(?:PROJ|TASK){number}-\d{{4,8}}\b", "name": f"P{number}"}) for number in range(50)
    ]
    every: dict[str, list[Any]] = {
        "pattern (50)": list(patterns), "keywords (1,000)": [Keywords([f"keyword{number}" for number in range(1_000)])], "pii": [Pii("all")], "secrets": [Secrets("all")],
        "prompt_injection": [PromptInjection(True)], "categories": [Categories("all")], "language": [Language(["en"])], "code": [Code("all")],
    }  # fmt: skip
    every["50 patterns, pii and secrets"] = [*patterns, *every["pii"], *every["secrets"]]
    return every


def costs() -> Iterator[tuple[str, float, float, float]]:
    """Yield for each detector µs of 1 KB, of 100 KB, and of a word of a stream."""
    short, long = (PROSE * 10)[:1024], (PROSE * 1_000)[:102_400]
    words = [f"{word} " for word in short.split()]
    for name, made in detectors().items():
        redaction = Redaction([(one, Action.MASK, None) for one in made])

        def stream(redaction: Redaction = redaction) -> None:
            guard = redaction.guard()
            for word in words:
                guard.feed(TextSlot(Channel.CONTENT, 0, 0, word))
            guard.flush(Channel.CONTENT, 0, 0)

        yield (
            name,
            cost(lambda redaction=redaction: redaction.whole(f"{short}{next(NEVER_SEEN)}")),  # type: ignore[misc]  # bound at once
            cost(lambda redaction=redaction: redaction.whole(f"{long}{next(NEVER_SEEN)}")),  # type: ignore[misc]  # bound at once
            cost(stream) / len(words),
        )


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.guardrails", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="labelled lines; without, only costs are measured")
    folder = parser.parse_args().folder
    if folder is not None:
        for where in HALVES:
            print(f"\n{where} half\n{'kind':38} {'hit':>5} {'false':>5} {'missed':>6} {'precision':>9} {'recall':>7}")
            for kind, score in measured(folder, where, compare=True):
                print(
                    f"{kind:38} {score.hits:5} {score.false:5} {score.missed:6} {score.precision:9.3f} {score.recall:7.3f}"
                )
    print(f"\n{'clean English prose':38} {'µs/1 KB':>9} {'µs/100 KB':>10} {'µs/word of a stream':>20}")
    for name, short, long, word in costs():
        print(f"{name:38} {short:9.1f} {long:10.0f} {word:20.1f}")


if __name__ == "__main__":
    main()
