"""What holds for every remote detector: an answer that is none is an error, and no error shows a text or a key."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from bench.ports import free_port
from engine.asking import LARGEST
from engine.contracts import Deps
from engine.detecting import DetectorError, Finding, Question
from engine.extensions import Extensions, names
from engine.outside import SystemClock
from engine.transport.session import Session
from tests.adapters.remotes.cases import CASES, ELSEWHERE, KEY, TEXTS

PHASES = ("input", "output", "toolCalls", "toolResults")
EVERY = pytest.mark.parametrize("name", sorted(CASES))


def made(name, url, deps):
    return Extensions(deps).remote_detector(name, CASES[name].at(url))


async def failure(detector, phase="input"):
    with pytest.raises(DetectorError) as caught:
        await detector.ask(Question(phase, TEXTS))
    return caught.value


def shown(error):
    """Everything that a log of the error could show, its causes too."""
    return "" if error is None else f"{error} {error!r} {shown(error.__cause__)}"


def discreet(error, name):
    assert str(error).startswith(f"`{name}`")
    assert not [word for word in (KEY, *TEXTS, "plover") if word in shown(error)]
    return True


def test_every_remote_detector_has_a_case():
    assert set(names("remotes")) == set(CASES) | (ELSEWHERE & set(names("remotes")))


@EVERY
@pytest.mark.parametrize("phase", PHASES)
async def test_what_passes_has_a_finding_for_each_text(service, deps, name, phase):
    service.says(CASES[name].passes)
    findings = await made(name, service.url, deps).ask(Question(phase, TEXTS))
    assert [(list(finding.hits), finding.replacement, finding.refused) for finding in findings] == [([], None, "")] * 2
    assert len(service.exchanges) >= 1
    for exchange in service.exchanges:
        assert exchange.line.startswith("POST /")
        assert exchange.header("content-type") == "application/json"
        assert exchange.header("host") == service.url.removeprefix("http://")


@EVERY
async def test_no_texts_have_no_findings(deps, name):
    assert list(await made(name, f"http://127.0.0.1:{free_port()}", deps).ask(Question("input", []))) == []


@EVERY
async def test_both_transports_carry_a_question(service, name):
    http = Session()
    running = asyncio.create_task(http.run())
    try:
        service.says(CASES[name].passes)
        deps = Deps(SystemClock(), random.Random(1), http, {})
        assert len(await made(name, service.url, deps).ask(Question("input", TEXTS))) == 2
        service.status = 500
        assert discreet(await failure(made(name, service.url, deps)), name)
    finally:
        running.cancel()
        await http.close()


@EVERY
@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 404, 413, 429, 500, 503])
async def test_a_status_that_is_no_success_is_an_error_and_no_redirect_is_followed(service, deps, name, status):
    service.says({"error": {"message": f"bad key {KEY} for {TEXTS[0]}"}})
    service.status = status
    error = await failure(made(name, service.url, deps))
    assert discreet(error, name)
    assert f"answered {status}" in str(error) or (status == 204 and "did not answer as it should" in str(error))
    assert len(service.exchanges) <= len(TEXTS)


@EVERY
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b"{}",
        b"7",
        b"null",
        b'"x"',
        b"\xff",
        b'{"action": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        json.dumps({KEY: TEXTS[0]}).encode(),
        json.dumps([{KEY: TEXTS[0], "start": TEXTS[0]}]).encode(),
        json.dumps({"results": TEXTS, "action": TEXTS[0], "flagged": TEXTS[0], "sanitizationResult": KEY}).encode(),
    ],
    ids=range(14),
)
async def test_a_body_that_is_not_what_it_should_be_is_an_error(service, deps, name, body):
    service.says(body)
    assert discreet(await failure(made(name, service.url, deps)), name)


@EVERY
async def test_an_answer_without_end_is_cut(upstream, deps, name):
    async def endless(exchange):
        await exchange.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not exchange.writer.is_closing():
            await exchange.send(b"10000\r\n" + b" " * 65536 + b"\r\n")

    upstream.handler = endless
    error = await failure(made(name, f"http://127.0.0.1:{upstream.port}", deps))
    assert discreet(error, name)
    assert f"more than {LARGEST} bytes" in str(error)


@EVERY
async def test_a_connection_that_fails_is_an_error(upstream, deps, name):
    url = f"http://127.0.0.1:{upstream.port}"

    async def silent(exchange):
        exchange.close()

    async def halfway(exchange):
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")
        exchange.close()

    async def no_http(exchange):
        await exchange.send(f"{KEY} {TEXTS[0]}\r\n\r\n".encode())
        exchange.close()

    for handler in (silent, halfway, no_http):
        upstream.handler = handler
        error = await failure(made(name, url, deps))
        assert discreet(error, name)
        assert "could not be asked" in str(error)
    error = await failure(made(name, f"http://127.0.0.1:{free_port()}", deps))
    assert discreet(error, name)
    assert "could not be asked: cannot reach" in str(error)


@EVERY
async def test_who_stops_waiting_cuts_the_connection(upstream, deps, name):
    reached, gone = asyncio.Event(), asyncio.Event()

    async def hangs(exchange):
        reached.set()
        await exchange.reader.read()
        gone.set()

    upstream.handler = hangs
    asking = asyncio.create_task(
        made(name, f"http://127.0.0.1:{upstream.port}", deps).ask(Question("input", TEXTS))  # type: ignore[arg-type]  # a task of any awaitable
    )
    await asyncio.wait_for(reached.wait(), 5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(gone.wait(), 5)


@EVERY
async def test_calls_share_a_detector(service, deps, name):
    service.says(CASES[name].passes)
    detector = made(name, service.url, deps)
    answers = await asyncio.gather(*(detector.ask(Question("input", TEXTS)) for _ in range(20)))
    assert all(list(findings) == [Finding(hits=findings[0].hits)] * 2 for findings in answers)


def test_a_name_that_no_file_has_is_refused(deps):
    with pytest.raises(LookupError, match=r"unknown remote `presidoi`; did you mean `presidio`\?"):
        Extensions(deps).remote_detector("presidoi", {})


def test_deps_of_ones_own_are_used(deps):
    other = deps._replace(environ={"GENERIC_GUARDRAIL_API_BASE": "http://localhost"})
    Extensions(deps).remote_detector("generic", {}, other)
    with pytest.raises(ValueError, match="api_base: set it"):
        Extensions(deps).remote_detector("generic", {})
