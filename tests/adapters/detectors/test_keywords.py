"""Words are found as words, Chinese ones anywhere."""

from __future__ import annotations

import pytest

from adapters.detectors.keywords import TOGETHER, Keywords

WORDS = ["Falcon", "机密", "foo bar", "über", "c++", "ass"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the FALCON flies, falconer", ["FALCON"]), ("这是机密文件", ["机密"]), ("foo   bar; Foo\nbar", ["foo   bar", "Foo\nbar"]), ("drüber, Über", ["Über"]),
        ("C++ or c", ["C++"]), ("class, ass.", ["ass"]), ("ass,ass ass", ["ass", "ass", "ass"]), ("nothing", []), ("", []),
    ],
)  # fmt: skip
def test_words_are_found(text, found):
    assert [text[hit.start : hit.end] for hit in Keywords(WORDS).find(text)] == found


def test_of_words_that_begin_alike_the_longest_counts():
    assert [hit.end for hit in Keywords(["blue", "blue whale"]).find("blue whale")] == [10]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("words.txt", "# animals\nFalcon\n\n 猎鹰 \n"),
        ("words.yaml", "# animals\n- Falcon\n- 猎鹰\n"),
        ("words.yml", "blocked_words:\n- {keyword: Falcon, action: BLOCK}\n- keyword: 猎鹰\n  description: a bird\n"),
    ],
)
def test_words_come_from_a_file(file, text):
    keywords = Keywords({"file": file, "text": text, "name": "ANIMAL"})
    assert [hit.type for hit in keywords.find("falcon 猎鹰 animals")] == ["ANIMAL", "ANIMAL"]


def test_many_words_are_found():
    words = [f"word{number}x" for number in range(3 * TOGETHER)]
    assert [hit.start for hit in Keywords(words).find("word0x word767x word768x")] == [0, 7]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([], "write a list"), ("word", "is a list of texts"), ([""], "is none"), ([7], "is none"), (["x" * 201], "is none"), ({"file": 3}, "`file` is a path"),
        ({"file": "w.yaml", "text": "{"}, "is no YAML"), ({"file": "w.yaml", "text": "a: b"}, "is neither a list"), ({"file": "w.txt", "text": "#"}, "write a list"), ({"word": ["x"]}, "unknown field `word`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(said, error):
    with pytest.raises(ValueError, match=error):
        Keywords(said)
