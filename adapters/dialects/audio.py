"""OpenAI's formats for speech: speech from text, and transcripts and translations of recordings, whole and streamed.

Source: platform.openai.com/docs/api-reference/audio and its streaming events. An answer reports tokens or seconds;
Mistral reports both. A verbose transcript says the recording's duration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from adapters.dialects.openai import OpenAI, count
from engine import prompts
from engine.call import Usage
from engine.contracts import EVERY, Channel, Frame, TextSlot
from engine.places import UNREADABLE, Member, Place, decode, fill, inner, measured, tokens
from engine.slots import INPUT, OUTPUT, Repeats, Slots

_SPEECH = "speech.audio.done"
_LAST = ("transcript.text.done", _SPEECH)
_TEXTS = {"transcript.text.delta": "delta", "transcript.text.segment": "text", "transcript.text.done": "text"}
"""Events and the member that holds their text."""


class _Heard(msgspec.Struct):
    usage: dict[str, Any] | None = None
    duration: Any = None
    type: Any = None


_heard = msgspec.json.Decoder(_Heard)


class Audio(OpenAI):
    """The dialect of `/v1/audio/speech`, `/transcriptions` and `/translations`."""

    asked = Slots({"input": INPUT, "instructions": INPUT, "prompt": INPUT})
    answered = Slots({"text": OUTPUT, "segments[].text": OUTPUT, "words[].word": OUTPUT})
    repeated = Repeats(("segments", "words", "logprobs"))

    def prompt(self, members: Mapping[str, msgspec.Raw]) -> list[prompts.Said]:
        """List what is to be said, or what a transcript is to go on from."""
        return prompts.loose(prompts.read(members, "input" if "input" in members else "prompt"))

    def usage(self, answer: bytes) -> Usage | None:
        """Read the usage of a whole answer: tokens, seconds or both."""
        try:
            found = _heard.decode(answer)
        except UNREADABLE:
            return None
        reported = found.usage or {}
        usage = measured(count(_plain(reported)))
        seconds = next(
            (s for s in (reported.get("seconds"), reported.get("prompt_audio_seconds"), found.duration) if s), 0
        )
        if isinstance(seconds, str):
            seconds = _number(seconds)
        if isinstance(seconds, int | float) and 0 < seconds < 1e9:
            usage.units["milliseconds"] = round(seconds * 1000)
        if found.type == _SPEECH:
            usage.audio_output = usage.output
        return usage if found.usage is not None or usage.units else None

    def frame_usage(self, frame: Frame) -> tuple[Usage | None, bool]:
        """Read the usage of the event that ends a stream."""
        if b'"usage"' not in frame.data:
            return None, False
        return self.usage(frame.data), False

    def ends(self, frame: Frame) -> tuple[int, ...]:
        """Tell the last event."""
        return EVERY if decode(frame.data).get("type") in _LAST else super().ends(frame)

    def texts(self, frame: Frame) -> tuple[TextSlot, ...]:
        """List the text that a frame continues."""
        return tuple(slot for _, _, slot in _places(decode(frame.data)))

    def replace(self, frame: Frame, slots: Sequence[TextSlot]) -> bytes:
        """Rebuild a frame with other text."""
        event = decode(frame.data)
        fill(_places(event), slots)
        return b"data: " + orjson.dumps(event) + b"\n\n"

    def finish(self, frame: Frame, reason: str) -> bytes:
        """End a transcript early."""
        del frame, reason
        return b'data: {"type":"transcript.text.done","text":""}\n\ndata: [DONE]\n\n'


def _plain(reported: Member) -> Member:
    """Say a usage as chats do: OpenAI names the details in the singular here, Mistral counts what it heard beside the prompt."""
    details = inner(reported, "input_token_details") or inner(reported, "prompt_tokens_details")
    plain = {**reported, "input_tokens_details": details}
    asked, heard = tokens(reported, "prompt_tokens"), tokens(details, "audio_tokens")
    if heard > asked > 0:
        plain["prompt_tokens"] = asked + heard
    return plain


def _places(event: Member) -> Iterator[Place]:
    name = _TEXTS.get(str(event.get("type")))
    if name is not None and isinstance(event.get(name), str):
        # A segment and the whole text at the end say again what was said: each kind is a text of its own.
        index = tuple(_TEXTS).index(str(event["type"]))
        yield event, name, TextSlot(Channel.TRANSCRIPT, 0, index, event[name])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
