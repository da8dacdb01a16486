"""Blocks of code are found by their language, whole, in streams too."""

from __future__ import annotations

import pytest

from adapters.detectors.code import BLOCK, Code
from engine.contracts import Channel, TextSlot
from engine.guarding import Action, Redaction

TEXT = "Run:\n```python\nprint('a `b`')\n```\nor\n~~~bash\nls\n~~~\nand\n```go\nx\n```\n"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (["python"], ["CODE_PYTHON"]), (["bash", "go"], ["CODE_BASH", "CODE_GO"]), ("all", ["CODE", "CODE", "CODE"]), (["rust"], []), (["shell"], []),
    ],
)  # fmt: skip
def test_blocks_are_found_by_language(said, found):
    assert [hit.type for hit in Code(said).find(TEXT)] == found


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("a\n```py\nx\n```\nb", "```py\nx\n```"), ("```Python3 title=x\nx", "```Python3 title=x\nx"), ("> ```python\n> x\n> ```", "```python\n> x\n> ```"), ("```{.python}\nx\n```", "```{.python}\nx\n```"),
    ],
)  # fmt: skip
def test_a_block_spans_its_fences(text, block):
    assert [text[hit.start : hit.end] for hit in Code(["python"]).find(text)] == [block]


@pytest.mark.parametrize(
    "text", ["`print(x)`", "```", "in python, print", "a ```python\nx``` b", "```pythonic\nx\n```"]
)
def test_what_is_no_block_of_it_is_not_found(text):
    assert not Code(["python"]).find(text)


def test_a_stream_loses_the_block_only():
    guard = Redaction([(Code(["python"]), Action.MASK, "[code]")]).guard()
    out = "".join(guard.feed(TextSlot(Channel.CONTENT, 0, 0, letter)) for letter in TEXT)
    assert out + guard.flush(Channel.CONTENT, 0, 0) == TEXT.replace("```python\nprint('a `b`')\n```", "[code]")


def test_of_a_long_block_its_beginning_is_hit():
    (hit, *_) = Code("all").find("```\n" + "x" * 2 * BLOCK)
    assert hit.end - hit.start >= BLOCK - 8


@pytest.mark.parametrize("said", [[], "python", ["a b"], [""], 7, {}])
def test_what_is_wrong_is_said(said):
    with pytest.raises(ValueError, match="code"):
        Code(said)
