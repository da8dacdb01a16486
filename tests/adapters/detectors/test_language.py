# ruff: noqa: RUF001 - texts in many languages
"""A text in another language is hit, one that tells too little is not."""

from __future__ import annotations

import pytest

from adapters.detectors.language import Language
from engine.detecting import Hit

TEXTS = [
    ("en", "Hello, how are you and what is this?"), ("de", "Wie ist das Wetter heute und was soll ich tun?"), ("fr", "Bonjour, comment allez-vous et que faites-vous dans la vie ?"),
    ("es", "¿Cómo se dice esto en español y por qué?"), ("it", "Che cosa è questo e perché non funziona?"), ("pt", "O que é isso e como você está hoje?"), ("nl", "Hoe gaat het met je en wat is dit?"),
    ("zh", "今天天气怎么样，我们去哪里？"), ("ja", "これはテストです。日本語で書きます。"), ("ko", "안녕하세요, 반갑습니다"), ("ru", "Привет, как твои дела?"), ("uk", "Як справи, друже, що їси?"),
    ("ar", "مرحبا كيف حالك اليوم"), ("fa", "سلام چطوری پدر گرامی"), ("he", "שלום מה שלומך"), ("th", "สวัสดีครับ วันนี้เป็นอย่างไร"), ("el", "Καλημέρα τι κάνεις"), ("hi", "नमस्ते आप कैसे हैं"), ("tr", "Bu ne kadar ve nasıl bir şey?"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_a_language_is_told(name, text):
    other = "en" if name != "en" else "zh"
    assert Language([other]).find(text) == [Hit(0, len(text), "LANGUAGE", 0.9)]
    assert not Language([name, other]).find(text)
    assert not Language([f"{name.upper()}-XX"]).find(text)


@pytest.mark.parametrize("text", ["", "Mark Rutte", "12345", "print(x)", "x = 1; y = 2", "Google 的搜索 is good", "ok"])
def test_what_tells_too_little_is_not_hit(text):
    assert not Language(["ko"]).find(text)


@pytest.mark.parametrize(
    ("said", "error"), [([], "write a list"), ("en", "write a list"), (["xx"], "cannot tell `xx`")]
)
def test_what_is_wrong_is_said(said, error):
    with pytest.raises(ValueError, match=error):
        Language(said)
