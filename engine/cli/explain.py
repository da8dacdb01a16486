"""`interlock explain`: how a call is decided, or how one was."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from engine.authoring import explain, recorded
from engine.authoring.account import Anatomies, accounts
from engine.authoring.asking import PATH, Request, header, read_request
from engine.authoring.stage import Stage, StageError, staged
from engine.authoring.trial import Asked, tried
from engine.cli.check import found
from engine.config.include import gather
from engine.config.problems import nearest
from engine.data_dir import DEFAULT
from engine.identity import credential
from engine.sources import Sources


@click.command("explain")
@click.option("--config", "-c", "file", metavar="FILE", help="What the call goes through.  [default: config.yaml]")
@click.option("--policies", metavar="DIR", help="Its policies.  [default: policies/, then rules/]")
@click.option("--request", "request_file", metavar="FILE", help="A request: JSON, or as it goes over the wire; `-`.")
@click.option("-d", "--body", "body", metavar="BODY", help="The body of the request; `@FILE` reads it.")
@click.option("-H", "--header", "headers", metavar="HEADER", multiple=True, help="A header: `name: value`.")
@click.option("--key", metavar="KEY", help="Who calls: a key, or the alias of one.")
@click.option("--path", metavar="PATH", help=f"What is called.  [default: {PATH}]")
@click.option("--clock", metavar="TIME", help="When, such as 2026-01-12T09:00:00Z.  [default: now]")
@click.option("--decision", metavar="ID", help="How this call was decided, from the decision log.")
@click.option("--data", metavar="DIR", type=click.Path(path_type=Path), help=f"Where that is.  [default: ./{DEFAULT}]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(  # noqa: PLR0913, PLR0917 - click hands over one argument an option
    file: str | None, policies: str | None, request_file: str | None, body: str | None, headers: tuple[str, ...],
    key: str | None, path: str | None, clock: str | None, decision: str | None, data: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Say how a call is decided: the verdict, every rule with the values of its parts, and what does not govern it.

    No upstream is called. Exit 0: said. 1: no such decision. 2: cannot run.
    """
    if decision is not None:
        _recorded(decision, data or _data(file), as_json=as_json)
        return
    try:
        request = _request(request_file, body, headers, path)
        moment = _moment(clock)
        stage = staged(_sources(file, policies), os.environ)
        named = _named(stage, request, key)
    except StageError as error:
        _end(2, "\n".join([*map(str, error.problems), "the configuration has errors, so nothing is explained"]))
    except ValueError as error:
        _end(2, f"error: {error}")
    asked = Asked(request.target, named, request.body, moment, method=request.method)
    trial = tried(stage, asked)
    if trial.call is None:
        _end(2, f"error: no inference route answers `{request.method} {request.target}`")
    told = accounts(trial, Anatomies(), elements=True)
    if as_json:
        print(json.dumps(explain.report(trial, told), indent=2, ensure_ascii=False, default=str))
    else:
        print("\n".join(explain.lines(trial, told)))


def _request(file: str | None, body: str | None, headers: tuple[str, ...], path: str | None) -> Request:
    """Return what is asked; raises ValueError."""
    if (file is None) == (body is None):
        raise ValueError("name a request with `--request FILE`, or write its body with `-d BODY`")
    given = dict(header(line) for line in headers)
    if file is not None:
        try:
            request = read_request(_text(file))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    else:
        text = body or ""
        request = Request("POST", PATH, {}, (_text(text[1:]) if text.startswith("@") else text).encode())
    return request._replace(target=path or request.target, headers={**request.headers, **given})


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot be read ({(error.strerror or '').lower()})") from None


def _moment(clock: str | None) -> float:
    if clock is None:
        return time.time()
    try:
        moment = datetime.fromisoformat(clock)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"--clock: `{clock}` is no instant with its zone, such as 2026-01-12T09:00:00Z")
    return moment.timestamp()


def _named(stage: Stage, request: Request, key: str | None) -> Mapping[str, str]:
    """Return the headers with the key that is meant, by itself or by its alias; raises ValueError."""
    if key is not None:
        found = stage.key(key) or key
        if not found.startswith("sk-"):
            guess = nearest(key, stage.aliases)
            hint = f"did you mean `{guess}`?" if guess else f"aliases are {', '.join(stage.aliases)}"
            raise ValueError(f"--key: `{key}` is neither a key (`sk-...`) nor the alias of one; {hint}")
        return {**request.headers, "authorization": f"Bearer {found}"}
    if not credential(request.headers, stage.snapshot.settings.key_header):
        print("no key is given, so nobody calls; say who with `--key`", file=sys.stderr)
    return request.headers


def _sources(file: str | None, policies: str | None) -> Sources:
    sources = found(file, policies)
    if file is None and sources.config is not None and not sources.config.exists() and sources.policies is not None:
        return Sources(None, sources.policies)
    return sources


def _data(file: str | None) -> Path:
    """Say where state is kept when the command line does not."""
    document, _ = gather(file or "config.yaml")
    general = document.value.get("general_settings")
    configured = general.get("data_dir") if isinstance(general, dict) else None
    return Path(os.environ.get("INTERLOCK_DATA") or os.environ.get("LITELLM_DATA") or str(configured or DEFAULT))


def _recorded(decision: str, folder: Path, *, as_json: bool) -> None:
    try:
        record: dict[str, Any] | None = recorded.find(folder, decision)
    except OSError as error:
        _end(
            2, f"error: {error if error.strerror is None else error.strerror.lower()}; name the directory with `--data`"
        )
    if record is None:
        _end(
            1,
            f"no record in `{folder}` has the id `{decision}`; it may have been rotated away, or be written in a moment",
        )
    print(json.dumps(record, indent=2) if as_json else "\n".join(recorded.lines(record)))


def _end(status: int, message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)
