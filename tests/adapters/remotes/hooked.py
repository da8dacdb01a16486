"""Classes of hooks in real files, and questions to ask them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from engine.contracts import Deps
from engine.detecting import Question, Whole
from engine.extensions import Extensions

HEAD = """
import asyncio, time
import litellm
from litellm.integrations.custom_guardrail import CustomGuardrail, log_guardrail_information, ModifyResponseException
from litellm.types.guardrails import GuardrailEventHooks
from fastapi import HTTPException
SEEN = []
"""
PRE = "async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):"
DURING = "async def async_moderation_hook(self, data, user_api_key_dict, call_type):"
POST = "async def async_post_call_success_hook(self, data, user_api_key_dict, response):"
NEWER = "async def apply_guardrail(self, inputs, request_data, input_type, logging_obj=None):"
OLDER = "async def apply_guardrail(self, text, language=None, entities=None, request_data=None):"


def asked(request, *places, phase="input", body=None, metadata=None):
    """Ask about some places of a request, or of its answer."""
    found = [(holder, key) for holder, key in places]
    return Question(
        phase, [holder[key] for holder, key in found], "m", lambda: Whole(request, body if body is not None else request, found), metadata or {}
    )  # fmt: skip


def chat(*texts):
    request = {"model": "m", "messages": [{"role": "user", "content": text} for text in texts]}
    return request, [(message, "content") for message in request["messages"]]


def answer(*texts):
    choices = [
        {"index": at, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for at, text in enumerate(texts)
    ]
    body = {"id": "x", "object": "chat.completion", "model": "m", "choices": choices, "usage": {"prompt_tokens": 1}}
    return body, [(choice["message"], "content") for choice in choices]


async def of(detector, *texts):
    request, places = chat(*texts)
    before = copy.deepcopy(request)
    findings = await detector.ask(asked(request, *places))
    assert request == before, "a copy is what hooks change"
    return findings


async def back(detector, *texts):
    body, places = answer(*texts)
    before = copy.deepcopy(body)
    findings = await detector.ask(asked(chat("q")[0], *places, phase="output", body=body))
    assert body == before
    return findings


def replaced(findings):
    return [one.replacement for one in findings]


MASK = ["for m in data['messages']: m['content'] = m['content'].replace('plover', '***')"]


class Guard:
    """Makes detectors of the lines of one hook, in a file in a directory."""

    def __init__(self, folder: Path, deps: Deps) -> None:
        self.folder = folder
        self.deps = deps

    def __call__(self, hook: str, *lines: str, mode: Any = None, more: str = "", **settings: Any) -> Any:
        """Make a detector of the class `G` with this hook, and `more` before it."""
        body = "\n".join(f"        {line}" for line in lines)
        (self.folder / "mine.py").write_text(f"{HEAD}\nclass G(CustomGuardrail):\n{more}\n    {hook}\n{body}\n")
        said = {"class": "mine.G", "config_folder": str(self.folder), "guardrail_name": "g", **settings}
        return Extensions(self.deps).remote_detector("custom", said | ({"mode": mode} if mode else {}))
