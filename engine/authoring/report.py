"""What a suite came to: for people, as JSON, and as the XML that build servers read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from engine.authoring.expectation import Failure
from engine.authoring.suite import Result, Suite
from engine.authoring.telling import as_json, lines_of
from engine.authoring.values import written


def text(suite: Suite, *, coverage: bool) -> Iterator[str]:
    """Tell of every case, in full of those that failed."""
    for file, results in groupby(suite.results, key=lambda result: result.case.mark.file):
        yield file
        for result in results:
            yield f"  {'ok  ' if result.good else 'FAIL'}  {result.case.name}"
            yield from (f"        {line}" for line in _details(result))
    if coverage:
        yield from suite.coverage.lines()
    yield summary(suite)


def summary(suite: Suite) -> str:
    """Say how it stands in a few words."""
    if not suite.results:
        return "no cases" if not suite.files else f"no cases in {', '.join(suite.files)}"
    good = len(suite.results) - suite.failed
    failed = f", {suite.failed} failed" if suite.failed else ""
    return f"{good} passed{failed} in {suite.seconds:.2f} s"


def said(failure: Failure) -> str:
    """Say what was expected and what came instead."""
    actual = "nothing" if failure.actual is None else written(failure.actual)
    expected = "nothing" if failure.expected is None else written(failure.expected)
    if isinstance(failure.expected, str) and (failure.field == "message" or failure.field.startswith("headers.")):
        exact = failure.expected.startswith("=")
        expected = f"exactly {written(failure.expected[1:])}" if exact else f"something with {expected}"
    return f"{failure.field}: expected {expected}, got {actual}"


def _details(result: Result) -> Iterator[str]:
    if result.good:
        return
    yield str(result.case.mark)
    if result.broken:
        yield result.broken
    yield from map(said, result.failures)
    if result.accounts:
        yield "what the policies said:"
        yield from (f"  {line}" for line in lines_of(result.accounts))


def as_object(suite: Suite, *, coverage: bool) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "good": not suite.failed and bool(suite.results),
        "summary": summary(suite),
        "seconds": suite.seconds,
        "files": list(suite.files),
        "tests": [
            {
                "name": result.case.name,
                "file": result.case.mark.file,
                "line": result.case.mark.line,
                "good": result.good,
                "seconds": result.seconds,
                **({"broken": result.broken} if result.broken else {}),
                "failures": [failure._asdict() for failure in result.failures],
                "policies": as_json(result.accounts),
            }
            for result in suite.results
        ],
        **({"coverage": suite.coverage.as_json()} if coverage else {}),
    }


def junit(suite: Suite) -> bytes:
    """Write JUnit's XML: a suite for each file."""
    root = Element("testsuites", name="interlock", tests=str(len(suite.results)), failures=str(suite.failed), time=f"{suite.seconds:.3f}")  # fmt: skip
    for file, group in groupby(suite.results, key=lambda result: result.case.mark.file):
        results = list(group)
        failed, took = sum(not result.good for result in results), sum(result.seconds for result in results)
        one = SubElement(root, "testsuite", name=file, tests=str(len(results)), failures=str(failed), errors="0", skipped="0", time=f"{took:.3f}")  # fmt: skip
        for result in results:
            case = SubElement(one, "testcase", classname=file, name=result.case.name, file=file, line=str(result.case.mark.line), time=f"{result.seconds:.3f}")  # fmt: skip
            if not result.good:
                message = result.broken or "; ".join(map(said, result.failures))
                failure = SubElement(case, "failure", message=_printable(message))
                failure.text = _printable("\n".join(_details(result)))
    indent(root)
    text: str = tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _printable(text: str) -> str:
    """Leave out what XML cannot hold."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)
