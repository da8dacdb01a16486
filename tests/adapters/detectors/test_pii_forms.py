# ruff: noqa: RUF001 - texts in many languages and digits
"""Numbers are found whatever stands between their groups and around them, and nothing that is read raises."""

from __future__ import annotations

import random

import pytest

from adapters.detectors.pii import Pii, national
from adapters.detectors.pii import checksums as check

EVERY = Pii("all")
DRAW = random.Random(5)
SEPARATORS = ["", " ", "-", ".", "\u00a0", "\u202f", "\u2009", "\u2013", "\u2011", " - "]
WIDE = {ord("0") + digit: 0xFF10 + digit for digit in range(10)} | {ord("-"): 0xFF0D, ord("X"): 0xFF38}
AROUND = [
    "{}",
    "my number is {}.",
    '{{"number": "{}"}}',
    "number: {}\n",
    "我的号码{}请记下",
    "卡号：{}，谢谢",
    "pay('{}')",
    "[{}]",
]


def drawn(form: str, right) -> str:
    """Draw digits for the `#` of a form until a check agrees."""
    while True:
        text = "".join(DRAW.choice("0123456789") if one == "#" else one for one in form)
        if right(text):
            return text


def types(text: str) -> set[str]:
    return {hit.type for hit in EVERY.find(text)}


def whole(kind: str, text: str, value: str) -> bool:
    return any(hit.type == kind and text[hit.start : hit.end] == value for hit in EVERY.find(text))


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("form", ["4### #### #### ####", "3### ###### ####", "37## ###### #####", "4####### ########"])
def test_cards_in_groups(form, separator):
    digits = drawn(form, lambda text: check.luhn(text) and (text[0] != "3" or text[1] in "68" or len(text) == 17))
    value = digits.replace(" ", separator)
    assert all(whole("CREDIT_CARD", around.format(value), value) for around in AROUND)


def test_numbers_behind_each_other():
    cards = [drawn("4### #### #### ####", check.luhn) for _ in range(4)]
    for between in (" ", "  ", "\n", ", ", ";"):
        text = between.join(cards)
        assert [text[hit.start : hit.end] for hit in Pii(["CREDIT_CARD"]).find(text)] == cards


@pytest.mark.parametrize("separator", SEPARATORS[:6])
def test_ibans_in_groups_of_four(separator):
    for iban in ("DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606", "NO9386011117947"):
        value = separator.join(iban[at : at + 4] for at in range(0, len(iban), 4))
        assert all(whole("IBAN_CODE", around.format(value), value) for around in AROUND)
        assert not whole("IBAN_CODE", f"{value[:-1]}{(int(value[-1]) + 1) % 10}", value)


@pytest.mark.parametrize(
    "value",
    [
        "jane.doe+tag@mail.example.co.uk", '"jane doe"@example.org', "иван@почта.рф", "josé.ñandú@correo.es", "jane＠example.org", "jane@[192.168.2.1]", "jane@[IPv6:2001:db8::1]", "jane@bücher.de",
        "δοκιμή@παράδειγμα.gr", "jane@例子.公司", "a@b.co", "o'neil@example.ie", "x_y-z%1@sub.example.museum",
    ],
)  # fmt: skip
def test_mail_in_all_its_forms(value):
    assert all(
        whole("EMAIL_ADDRESS", text, value)
        for text in (value, f"<{value}>", f"邮箱：{value}，请回复", f'"to": "<{value}>"')
    )


def test_mail_beside_chinese():
    assert whole("EMAIL_ADDRESS", "邮箱jane@qq.com请回复", "jane@qq.com")


@pytest.mark.parametrize(
    "value",
    ["10.0.0.1", "2001:db8::1", "2001:0DB8:0000:0000:0000:FF00:0042:8329", "::ffff:192.0.2.128", "64:ff9b::192.0.2.33", "fe80::1", "::1", "2001:db8::"],
)  # fmt: skip
def test_addresses_in_all_notations(value):
    texts = (
        value,
        f"[{value}]:443",
        f"地址{value}。",
        f"{value}/32",
        f"{value}%eth0",
        f"Subnet: {value}",
        f"ip={value};",
    )
    assert all(whole("IP_ADDRESS", text, value) for text in texts if "%" not in text or ":" in value)


@pytest.mark.parametrize(
    "value",
    [
        "+1 415 555 2671", "+1 (415) 555-2671", "+44 (0)20 7946 0958", "+49-30-1234567", "+33 1 23 45 67 89", "+8613812345678", "+86 138 1234 5678", "138-1234-5678", "13812345678", "+55 (11) 91234-5678", "(11) 91234-5678",
        "01 23 45 67 89", "03-1234-5678", "010-1234-5678", "400-123-4567", "+91 98765 43210", "0044 20 7946 0958", "1-800-555-0199", "415.555.2671", "+7 (495) 123-45-67", "+1\u00a0415\u00a0555\u00a02671", "+972-3-1234567", "010-62751234",
    ],
)  # fmt: skip
def test_phones_of_many_countries(value):
    assert all(
        any(value in text[hit.start : hit.end] for hit in EVERY.find(text) if hit.type == "PHONE_NUMBER")
        for text in (value, f"致电{value}。", f"call {value} now", f'{{"tel": "{value}"}}')
    )


@pytest.mark.parametrize("value", ["020 7946 0958", "98765 43210", "030/1234567", "0401 234 567"])
def test_phones_after_a_word(value):
    assert "PHONE_NUMBER" in types(f"Telefon: {value}")
    assert "PHONE_NUMBER" not in types(f"Menge: {value}")


def test_digits_of_full_width():
    resident = drawn("11010119900101###X", check.chinese)
    card = drawn("4###-####-####-####", check.luhn)
    for kind, value in (
        ("CN_ID", resident),
        ("CREDIT_CARD", card),
        ("CREDIT_CARD", card.replace("-", "")),
        ("PHONE_NUMBER", "138-1234-5678"),
    ):
        wide = value.translate(WIDE)
        assert all(whole(kind, around.format(wide), wide) for around in AROUND)


def test_resident_numbers_without_any_border():
    for value in (drawn("44030119851212####", check.chinese), drawn("11010119900101###X", check.chinese)):
        assert all(
            whole("CN_ID", text, value)
            for text in (f"身份证{value}住址", f"ID{value}", f"（{value}）", f"id={value}&x=1")
        )
        assert "CN_ID" not in types(f"1{value}") | types(value[:-1] + ("1" if value[-1] != "1" else "2"))


CHECKS = [
    ("15070649C103", national.german_pension), ("756.9217.0769.85", national.swiss), ("2 69 05 49 588 157 80", national.french), ("111.444.777-35", national.cpf), ("1234567893", national.npi), ("10000000146", national.turkish),
    ("12.345.678-5", national.chilean), ("A123456789", national.taiwanese), ("11.222.333/0001-81", national.cnpj), ("86095742719", national.german_tax), ("G123456(A)", national.hongkong), ("111222333", national.dutch),
    ("85.07.30-033.28", national.belgian), ("811218-9876", national.swedish), ("8001015009087", national.south_african), ("DE136695976", national.vat), ("BOXW310820HNERXN09", national.curp),
]  # fmt: skip


@pytest.mark.parametrize(("value", "right"), CHECKS, ids=[right.__name__ for _, right in CHECKS])
def test_check_digits_hold_for_numbers_that_authorities_publish_and_notice_most_slips(value, right):
    assert right(value)
    last = max(at for at, one in enumerate(value) if one.isdigit())
    slips = [value[:last] + digit + value[last + 1 :] for digit in "0123456789" if digit != value[last]]
    assert not any(right(slip) for slip in slips)


def test_no_text_raises():
    letters = (
        "0123456789" * 6 + 'abcdefXKSxyzABCDEFGHJKLMNPQRSTUVWXYZ -./:@+()[]"\\\nſK０１２９Ｘñıİ中是²③Ⅷ٣\u00a0\u2013'
    )
    for _ in range(400):
        text = "".join(DRAW.choices(letters, k=200))
        assert all(0 <= hit.start < hit.end <= len(text) for hit in EVERY.find(text))
        assert 0 <= EVERY.pending(text) <= len(text)
