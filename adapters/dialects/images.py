"""OpenAI's formats for pictures: generations, edits and variations, whole and streamed.

Source: platform.openai.com/docs/api-reference/images and its streaming events. What is counted of an answer are the
pictures in `data`, and the tokens that newer models report, which are of pictures where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.dialects.openai import OpenAI, count
from engine import prompts
from engine.call import Usage
from engine.contracts import Frame
from engine.places import UNREADABLE, Member, inner, measured, tokens
from engine.slots import INPUT, OUTPUT, Repeats, Slots


class _Pictures(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    usage: dict[str, Any] | None = None
    size: Any = None
    quality: Any = None


_pictures = msgspec.json.Decoder(_Pictures)


class Images(OpenAI):
    """The dialect of `/v1/images/generations`, `/edits` and `/variations`."""

    asked = Slots({"prompt": INPUT})
    answered = Slots({"data[].revised_prompt": OUTPUT})
    repeated = Repeats(())

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List what is asked."""
        return prompts.loose(prompts.read(members, "prompt"))

    def usage(self, answer: bytes) -> Usage | None:
        """Count the pictures of a whole answer, and the tokens that it reports."""
        try:
            found = _pictures.decode(answer)
        except UNREADABLE:
            return None
        usage = measured(count(found.usage or {}))
        if found.data is not None:
            usage.units["images"] = len(found.data)
        if isinstance(found.size, str) and isinstance(found.quality, str):
            usage.variant = f"{found.quality}/{found.size}"
        if found.usage is not None:
            _tokens(usage, found.usage)
        return usage

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read the usage of the event that a picture is complete with."""
        if b'"usage"' not in frame.data:
            return None, False
        return self.usage(frame.data), False


def _tokens(usage: Any, reported: Member) -> None:
    read = inner(reported, "input_tokens_details") or inner(reported, "prompt_tokens_details")
    written = inner(reported, "output_tokens_details") or inner(reported, "completion_tokens_details")
    usage.image_input = tokens(read, "image_tokens")
    usage.image_output = tokens(written, "image_tokens") if written else usage.output
