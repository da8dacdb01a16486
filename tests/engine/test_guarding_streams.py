"""Every shape of stream that is served, through guards: what leaves is the whole text masked, and nothing says it again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.detectors.pii import Pii
from adapters.detectors.secrets import Secrets
from adapters.dialects.anthropic import Anthropic
from adapters.dialects.audio import Audio
from adapters.dialects.cohere import Cohere
from adapters.dialects.gemini import Gemini
from adapters.dialects.openai import OpenAI
from adapters.dialects.responses import Responses
from engine.contracts import Channel
from engine.frames import split
from engine.guarding import Action, Redaction
from engine.holdback import Texts
from engine.vault import Vault
from tests.engine.streams import DONE, chat, choice, cuttings, frame, relayed

REDACTION = Redaction(
    [(Pii(["EMAIL_ADDRESS", "CREDIT_CARD"]), Action.MASK, None), (Secrets(["AWS_ACCESS_KEY"]), Action.MASK, None)]
)
FORBIDDEN = ("jane@mail.example.org", "4111 1111 1111 1111", "AKIAQWERTYUIOPASDF23")
PROSE = st.lists(
    st.sampled_from(
        [*(f" {word} " for word in FORBIDDEN), "jane", "@mail", " and ", "4111 1111", "AKIA", "é中 ", ".", '"\\\n']
    ),
    max_size=8,
).map("".join)

Write = Callable[[str, Channel], bytes]


def event(kind: str, **members: Any) -> bytes:
    return frame({"type": kind, **members}, b"\n", kind)


def said_in_chat(text: str, channel: Channel) -> bytes:
    likely = {"content": [{"token": letter, "logprob": -1} for letter in text]}
    if channel is Channel.TOOL_ARGUMENTS:
        return chat(choice(tool_calls=[{"index": 0, "function": {"arguments": text}}]))
    name = "content" if channel is Channel.CONTENT else "reasoning_content"
    return chat({**choice(**{name: text}), "logprobs": likely})


def said_in_responses(text: str, channel: Channel) -> bytes:
    kinds = {
        Channel.CONTENT: "output_text",
        Channel.REASONING: "reasoning_text",
        Channel.TOOL_ARGUMENTS: "function_call_arguments",
    }
    place = {Channel.CONTENT: 0, Channel.REASONING: 1, Channel.TOOL_ARGUMENTS: 2}[channel]
    return event(
        f"response.{kinds[channel]}.delta",
        output_index=place,
        content_index=0,
        delta=text,
        logprobs=[{"token": one} for one in text],
    )


def said_by_anthropic(text: str, channel: Channel) -> bytes:
    kind, name = {
        Channel.CONTENT: ("text_delta", "text"), Channel.REASONING: ("thinking_delta", "thinking"), Channel.TOOL_ARGUMENTS: ("input_json_delta", "partial_json"),
    }[channel]  # fmt: skip
    index = list(Channel).index(channel)
    return event("content_block_delta", index=index, delta={"type": kind, name: text})


def said_by_gemini(text: str, channel: Channel) -> bytes:
    part = {"text": text, **({"thought": True} if channel is Channel.REASONING else {})}
    return frame({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]}, b"\r\n")


def said_by_cohere(text: str, channel: Channel) -> bytes:
    if channel is Channel.TOOL_ARGUMENTS:
        return event("tool-call-delta", index=1, delta={"message": {"tool_calls": {"function": {"arguments": text}}}})
    return event("content-delta", index=0, delta={"message": {"content": {"text": text}}})


def said_in_a_transcript(text: str, channel: Channel) -> bytes:
    del channel
    return frame({"type": "transcript.text.delta", "delta": text})


SPOKEN: list[tuple[Any, Write, tuple[Channel, ...], bytes]] = [
    (OpenAI, said_in_chat, (Channel.CONTENT, Channel.REASONING, Channel.TOOL_ARGUMENTS), chat(choice(finish="stop")) + DONE),
    (Responses, said_in_responses, (Channel.CONTENT, Channel.REASONING, Channel.TOOL_ARGUMENTS), event("response.completed", response={"output": []})),
    (Anthropic, said_by_anthropic, (Channel.CONTENT, Channel.REASONING, Channel.TOOL_ARGUMENTS), event("message_stop")),
    (Gemini, said_by_gemini, (Channel.CONTENT, Channel.REASONING), b""),
    (Cohere, said_by_cohere, (Channel.CONTENT, Channel.TOOL_ARGUMENTS), event("message-end", delta={"finish_reason": "COMPLETE"}) + DONE),
    (Audio, said_in_a_transcript, (Channel.TRANSCRIPT,), DONE),
]  # fmt: skip


def heard(dialect: Any, stream: bytes) -> dict[Channel, str]:
    texts: dict[Channel, str] = defaultdict(str)
    for one in split(stream):
        for slot in dialect.texts(one):
            texts[slot.channel] += slot.text
    return {channel: text for channel, text in texts.items() if text}


@pytest.mark.parametrize(("dialect", "write", "channels", "ending"), SPOKEN, ids=[one[0].__name__ for one in SPOKEN])
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_every_dialects_stream_says_the_whole_text_masked(data, dialect, write, channels, ending):
    whole: dict[Channel, str] = {}
    pieces: list[bytes] = []
    for channel in channels:
        text = data.draw(PROSE)
        whole[channel] = json.dumps({"q": text}) if channel is Channel.TOOL_ARGUMENTS else text
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole[channel])), max_size=6)))
        pieces += [
            write(whole[channel][start:end], channel)
            for start, end in zip([0, *cuts], [*cuts, len(whole[channel])], strict=True)
        ]
    stream = b"".join(pieces) + ending
    out = relayed(Texts(dialect(), [REDACTION.guard()]), data.draw(cuttings(stream)))
    expected = {
        channel: REDACTION.whole(text, arguments=channel is Channel.TOOL_ARGUMENTS).text
        for channel, text in whole.items() if text
    }  # fmt: skip
    assert heard(dialect(), out) == expected
    assert not any(word in text for word in FORBIDDEN for text in expected.values())


RECAP = [
    event("response.output_text.done", output_index=0, text=FORBIDDEN[0], logprobs=[{"token": FORBIDDEN[0]}]),
    event("response.content_part.done", output_index=0, part={"type": "output_text", "text": FORBIDDEN[0], "logprobs": [{"token": FORBIDDEN[0]}]}),
    event("response.output_item.done", output_index=0, item={"type": "message", "content": [{"type": "output_text", "text": FORBIDDEN[0]}]}),
    event("response.output_item.done", output_index=1, item={"type": "reasoning", "summary": [{"type": "summary_text", "text": FORBIDDEN[0]}]}),
    event("response.function_call_arguments.done", output_index=2, arguments=json.dumps({"to": FORBIDDEN[0]})),
    event("response.completed", response={"output": [{"type": "function_call", "arguments": json.dumps({"to": FORBIDDEN[0]})}, {"content": [{"refusal": FORBIDDEN[0]}]}]}),
    event("response.incomplete", response={"output": [{"content": [{"text": FORBIDDEN[0]}, {"text": "fine"}]}]}),
]  # fmt: skip


@pytest.mark.parametrize("recap", RECAP)
def test_what_is_said_again_at_the_end_is_masked_too(recap):
    out = relayed(Texts(Responses(), [REDACTION.guard()]), [said_in_responses(FORBIDDEN[0], Channel.CONTENT) + recap])
    assert FORBIDDEN[0].encode() not in out
    assert out.count(b"<EMAIL_ADDRESS>") >= 2
    json.loads(out.split(b"data: ")[-1])


def test_likelihoods_do_not_spell_out_what_was_masked():
    for dialect, write in ((OpenAI, said_in_chat), (Responses, said_in_responses)):
        out = relayed(Texts(dialect(), [REDACTION.guard()]), [write(f"{FORBIDDEN[0]} ", Channel.CONTENT)])
        assert b"<EMAIL_ADDRESS>" in out
        assert b'"token"' not in out


def test_arguments_that_come_whole_are_masked_and_stay_an_object():
    call = {"functionCall": {"name": "send", "args": {"to": FORBIDDEN[0], "n": 4_111_111_111_111_111}}}
    stream = frame({"candidates": [{"index": 0, "content": {"parts": [call]}}]}, b"\r\n")
    out = relayed(Texts(Gemini(), [REDACTION.guard()]), [stream])
    (said,) = (json.loads(one.data) for one in split(out))
    assert said["candidates"][0]["content"]["parts"][0]["functionCall"] == {
        "name": "send",
        "args": {"to": "<EMAIL_ADDRESS>", "n": "<CREDIT_CARD>"},
    }


def test_clean_recaps_leave_as_they_came():
    stream = event(
        "response.output_item.done",
        output_index=0,
        item={"content": [{"text": "all is well", "logprobs": [{"token": "all"}]}]},
    )
    assert relayed(Texts(Responses(), [REDACTION.guard()]), [stream]) == stream


@given(st.data(), PROSE, PROSE)
@settings(deadline=None, max_examples=150)
def test_what_was_masked_is_put_back_where_the_answer_repeats_it(data, asked, more):
    vault = Vault()
    masked = REDACTION.whole(asked + " " + more, vault).text
    answer = f"You said: {masked}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
    stream = b"".join(
        said_in_chat(answer[a:b], Channel.CONTENT) for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)
    )
    out = relayed(Texts(OpenAI(), [vault.guard()]), data.draw(cuttings(stream)))
    assert heard(OpenAI(), out)[Channel.CONTENT] == f"You said: {asked} {more}"
