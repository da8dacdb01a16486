"""Asks the hooks of one guardrail, and reads what they say: all of it on the hooks' thread.

A text that a hook changed is a replacement. What it raises, an exception or a text that it returns, refuses; a mapping that it
returns is the request, an answer that it returns the answer.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from adapters.remotes.custom import facts
from adapters.remotes.custom.answers import members
from adapters.remotes.custom.calling import (
    AFTER,
    APPLY,
    BEFORE,
    DURING,
    EVERY,
    GATE,
    ITERATOR,
    LONGEST,
    STREAM,
    asks,
    awaited,
    content,
    event,
    names,
    newer,
    one,
    reason,
    taken,
)
from adapters.remotes.custom.copies import Copied, sound
from adapters.remotes.custom.kit import Kit, written
from adapters.remotes.custom.loading import told
from engine.detecting import DetectorError, Finding, Question, Whole

NAMES = 100
"""Names of members without effect that are remembered as told."""
_SLIPS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
)
"""What a hook raises by mistake rather than to refuse: it refuses all the same, and the operator is told."""
log = structlog.get_logger("interlock")


class Refused(Exception):  # noqa: N818 - what a hook says, not a fault
    """A hook refuses; the message is its reason."""


class Asked(NamedTuple):
    """One question on its way: the copies that hooks may change, and what they are told beside them."""

    question: Question
    whole: Whole
    copied: Copied
    data: dict[str, Any]
    caller: Any


class Hooks:
    """The hooks of one instance that are asked: `before` of a request, `after` of an answer.

    Raises ValueError for a class of which the modes ask nothing, and for a hook that does not take what it is given.
    """

    def __init__(self, instance: Any, kit: Kit, name: str, modes: Sequence[str], path: Path) -> None:
        self._instance, self._kit, self._name, self._modes, self._path = instance, kit, name, modes, path
        self.before = self._chosen(
            [hook for hook, mode in ((BEFORE, "pre_"), (DURING, "during_")) if asks(modes, mode)]
        )
        self.after = self._chosen([AFTER, ITERATOR, STREAM] if asks(modes, "post_") else [])[:1]
        self._gated = written(type(instance), GATE)
        self._told: set[str] = set()
        if not (self.before or self.after):
            there = [hook for hook in EVERY if written(type(instance), hook)]
            raise ValueError(
                f"class: {path.name}: `{type(instance).__name__}` would do nothing: in mode {', '.join(modes) or 'any'} it is asked "
                f"by none of its hooks ({', '.join(there) or 'it has none'})"
            )
        for hook in (*self.before, *self.after):
            self._fits(hook)

    def _chosen(self, hooks: list[str]) -> list[str]:
        kind = type(self._instance)
        chosen = [hook for hook in hooks if written(kind, hook)]
        return chosen or ([APPLY] if hooks and written(kind, APPLY) else [])

    def _fits(self, hook: str) -> None:
        method = getattr(self._instance, hook)
        given = names(hook, method)
        try:
            inspect.signature(method).bind(**taken(hook, method, dict.fromkeys(given)))
        except TypeError as error:
            line = getattr(getattr(inspect.unwrap(method), "__code__", None), "co_firstlineno", 0)
            raise ValueError(
                f"class: {self._path.name}:{line}: `{hook}` {error}; it is given {', '.join(given)}"
            ) from None

    async def ask(self, question: Question, whole: Whole, *, answered: bool) -> list[Finding]:
        """Return a finding for each text; raises DetectorError where nothing is known of them."""
        copied = Copied(whole.body, whole.places)
        data = Copied(whole.request, ()).body if answered else copied.body
        facts.told(data, question, self._name)
        asked = Asked(question, whole, copied, data, self._kit.caller(**facts.caller(question.metadata)))
        try:
            texts = await self._texts(asked, answered=answered)
        except Refused as refused:
            return [Finding(refused=str(refused))] * len(question.texts)
        except DetectorError:
            raise
        except Exception as error:  # noqa: BLE001 - what a hook leaves may be anything, and what it says may quote a text
            raise DetectorError(f"what hooks left cannot be read ({type(error).__name__})") from None
        return [
            Finding(replacement=text if text != before else None)
            for text, before in zip(texts, question.texts, strict=True)
        ]

    async def _texts(self, asked: Asked, *, answered: bool) -> Sequence[str]:
        """Ask the hooks one after the other, and return what they leave of the texts."""
        copied, root = asked.copied, asked.copied.body
        if answered and self.after[0] == AFTER:
            root = self._kit.response(root)
        for hook in self.after if answered else self.before:
            gate = {"data": asked.data, "event_type": event(hook, self._modes, answered=answered)}
            if self._gated and await self._called(GATE, gate) is not True:
                continue
            if hook in {APPLY, ITERATOR, STREAM}:
                return await self._apart(hook, asked, answered=answered)
            said = await self._called(hook, self._given(asked, members(root) if not answered else asked.data, root))
            root = self._left(hook, said, root, answered=answered)
        texts = copied.texts(root, (self.after if answered else self.before)[0])
        self._without_effect(copied.others(root, facts.OURS))
        return texts

    def _given(self, asked: Asked, data: Any, response: Any) -> dict[str, Any]:
        return {
            "user_api_key_dict": asked.caller, "cache": self._kit.cache, "data": data, "response": response, "request_data": data,
            "call_type": facts.call_type(asked.question.metadata),
        }  # fmt: skip

    def _left(self, hook: str, said: Any, root: Any, *, answered: bool) -> Any:
        """Return the request or answer that a hook leaves."""
        if isinstance(said, BaseException):
            raise Refused(reason(said))
        if isinstance(said, str):
            raise Refused(said[:LONGEST] or "refused")
        if hook == DURING or said is None:
            return root
        if not answered and not isinstance(said, dict):
            raise DetectorError(
                f"`{hook}` returned a {type(said).__name__}: return the data, a text that refuses, or nothing"
            )
        return said

    async def _apart(self, hook: str, asked: Asked, *, answered: bool) -> Sequence[str]:
        """Ask a hook that takes texts by themselves."""
        texts, more = asked.question.texts, self._given(asked, asked.data, None)
        if hook == APPLY and newer(self._instance.apply_guardrail):
            return await self._inputs(asked, answered=answered)
        if hook == APPLY:
            more |= {"language": None, "entities": None}
            found = [await self._called(hook, {**more, "text": text}) if text.strip() else text for text in texts]
        elif hook == STREAM:
            found = [await self._called(hook, {**more, "response": text}) for text in texts]
        else:
            found = [await self._pieces({**more, "response": one(self._piece(text))}) for text in texts]
        for said in found:
            if isinstance(said, BaseException):
                raise Refused(reason(said))
        return [sound(said, hook) if isinstance(said, str) else text for said, text in zip(found, texts, strict=True)]

    def _piece(self, text: str) -> Any:
        """Return a text as the one piece of a stream."""
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return self._kit.piece(
            {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": [choice]}
        )

    async def _pieces(self, given: Mapping[str, Any]) -> str:
        """Join what a hook gives of a stream: pieces of an answer, or texts."""
        method = getattr(self._instance, ITERATOR)

        async def joined() -> str:
            pieces = [piece async for piece in method(**taken(ITERATOR, method, given))]
            return "".join(piece if isinstance(piece, str) else content(piece) for piece in pieces)

        return str(await self._guarded(ITERATOR, joined()))

    async def _inputs(self, asked: Asked, *, answered: bool) -> Sequence[str]:
        """Ask the newer form of `apply_guardrail`: texts, and calls of tools as they are."""
        copied, texts = asked.copied, asked.question.texts
        calls = facts.called(copied.body)
        functions = {id(call.get("function")) for call in calls}
        apart = [at for at in range(len(texts)) if id(copied.holder(at)) not in functions]
        inputs: Any = {"texts": [texts[at] for at in apart], "model": asked.question.model or None}
        request = asked.data
        inputs |= {
            name: request[mine]
            for name, mine in (("tools", "tools"), ("structured_messages", "messages"))
            if request.get(mine)
        }
        inputs |= {"tool_calls": calls} if calls else {}
        given = {
            "inputs": inputs,
            "request_data": request,
            "input_type": "response" if answered else "request",
            "logging_obj": None,
        }
        said = await self._called(APPLY, given)
        said = self._left(APPLY, said, inputs, answered=answered)
        left = said.get("texts") if isinstance(said, Mapping) else None
        if any(call.get("guardrail_deleted") for call in calls):
            raise Refused("calls a tool that must not be called")
        if left is None or len(left) < len(apart) or not all(isinstance(one, str) for one in left):
            raise DetectorError(f"`{APPLY}` did not return a text for each of the {len(apart)} that it was given")
        if len(left) > len(apart):
            self._without_effect(["texts"])
        changed = {at: sound(text, APPLY) for at, text in zip(apart, left, strict=False)}
        kept = copied.texts(copied.body, APPLY)
        return [changed.get(at, kept[at]) for at in range(len(texts))]

    async def _called(self, hook: str, given: Mapping[str, Any]) -> Any:
        method = getattr(self._instance, hook)
        return await self._guarded(hook, awaited(method, taken(hook, method, given)))

    async def _guarded(self, hook: str, work: Any) -> Any:
        """Await a hook; whatever it raises refuses."""
        try:
            return await work
        except (DetectorError, Refused):
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise DetectorError(f"`{hook}` was cancelled by what it called itself") from None
        except (SystemExit, KeyboardInterrupt) as error:
            raise DetectorError(f"`{hook}` raised {type(error).__name__}: raise ValueError to refuse") from None
        except Exception as error:  # noqa: BLE001 - whatever a hook raises refuses
            if isinstance(error, _SLIPS):
                where = told(error, self._path).split(" ")[0].rstrip(":")
                log.warning(
                    "hook failed, which refuses",
                    guardrail=self._name,
                    hook=hook,
                    at=where,
                    exception=type(error).__name__,
                )
            raise Refused(reason(error)) from None

    def _without_effect(self, names: Sequence[str]) -> None:
        """Tell the operator, once for each name, what a hook changed that stays as it was."""
        new = [name[:40] for name in map(str, names) if name[:40] not in self._told][: NAMES - len(self._told)]
        if new:
            self._told.update(new)
            log.warning("a hook changes what it cannot change here, only texts", guardrail=self._name, members=new)
