"""What was masked is put back where its mask is repeated, and nowhere else."""

from __future__ import annotations

import json

from engine.contracts import Channel, TextSlot
from engine.vault import MOST, Vault


def test_the_same_text_has_the_same_number():
    vault = Vault()
    masks = [vault.mask("<EMAIL>", text) for text in ("a@b.c", "d@e.f", "a@b.c")] + [vault.mask("[X]", "a@b.c")]
    assert masks == ["<EMAIL_1>", "<EMAIL_2>", "<EMAIL_1>", "[X_1]"]
    assert vault.restore("to <EMAIL_2>, <EMAIL_1>, <EMAIL_3> and <EMAIL>") == "to d@e.f, a@b.c, <EMAIL_3> and <EMAIL>"


def test_of_numbers_that_begin_alike_each_is_its_own():
    vault = Vault()
    masks = [vault.mask("mask", f"text {number}") for number in range(12)]
    assert vault.restore(" ".join(masks)) == " ".join(f"text {number}" for number in range(12))


def test_a_stream_is_restored_at_any_cut():
    vault = Vault()
    masks = [vault.mask("mask", f"text {number}") for number in range(12)]
    text = " ".join([*masks, "mask", "mask_", "mask_1"])
    for size in (1, 2, 5, 100):
        guard = vault.guard()
        out = [guard.feed(TextSlot(Channel.CONTENT, 0, 0, text[at : at + size])) for at in range(0, len(text), size)]
        assert "".join(out) + guard.flush(Channel.CONTENT, 0, 0) == vault.restore(text)


def test_in_arguments_an_original_is_written_as_json():
    vault = Vault()
    mask = vault.mask("<SAID>", 'he said "no"\n')
    guard = vault.guard()
    out = guard.feed(TextSlot(Channel.TOOL_ARGUMENTS, 0, 0, json.dumps({"q": mask})))
    assert json.loads(out + guard.flush(Channel.TOOL_ARGUMENTS, 0, 0)) == {"q": 'he said "no"\n'}


def test_an_empty_vault_holds_nothing_back():
    guard = Vault().guard()
    assert guard.feed(TextSlot(Channel.CONTENT, 0, 0, "<EMAIL_1")) == "<EMAIL_1"


def test_a_vault_has_a_bound():
    vault = Vault()
    masks = [vault.mask("<X>", str(number)) for number in range(MOST + 2)]
    assert masks[-3:] == [f"<X_{MOST}>", "<X>", "<X>"]
    assert len(vault.originals) == MOST
