"""How personal data is written, type by type: Presidio's names, patterns, checksums, and the words that stand before.

A format that says little by itself counts only after a word that says what follows. A checksum counts for itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence

from adapters.detectors.pii import checksums as check
from engine.scanning import Check, Rule

WEAK, FAIR, SURE = 0.3, 0.6, 1.0
"""What a format says alone, with its edges in place, with a checksum."""
TOLD = 0.85
"""What a word before it makes of a weak format."""

_IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FO FI GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM TL SO", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "PT ST LY",
    26: "IS TR", 27: "FR GR IT MC MR SM BI DJ", 28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU",
    31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_CARDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0|[689])\d{12,13}|6(?:011|5\d\d|4[4-9]\d)\d{12,15}"
    r"|35\d{14}|62\d{14,17}|(?:5[0678]|6[0-9])\d{10,17}|(?:1800|2131)\d{11}|1\d{14}|9792\d{12}|220[0-4]\d{12}"
)
_INVALID_SSN = re.compile(r"000|666|9\d\d|\d{3}-?00|\d{5}0000")
_MIN_PHONE, _MAX_PHONE = 8, 15
_WORDS = {
    "phone": "phone tel call mobile cell fax contact whatsapp number: telephone telefon móvil 电话 手机 联系 致电 號碼 号码 handy",
    "ssn": "ssn social security ssns ss# ssid",
    "itin": "itin taxpayer individual tax",
    "bank": "account acct bank checking savings debit routing aba a/c",
    "driver": "driver license licence permit dl# dls dmv lic# lic.",
    "passport": "passport travel document",
}


def _after(words: str, inner: Callable[[str], bool] | None = None, alone: float = WEAK) -> Check:
    """Return a check that wants one of some words before, or a score of its own from what stands alone."""
    listed = tuple(words.split())

    def score(found: str, before: str) -> float:
        if inner is not None and not inner(found):
            return 0.0
        lowered = before.lower()
        return TOLD if any(word in lowered for word in listed) else alone

    return score


def _sure(inner: Callable[[str], bool], score: float = SURE) -> Check:
    return lambda found, _: score if inner(found) else 0.0


def _card(found: str) -> bool:
    return _CARDS.fullmatch(found.replace(" ", "").replace("-", "")) is not None and check.luhn(found)


def _ssn(found: str) -> bool:
    return _INVALID_SSN.match("".join(one for one in found if one.isdigit())) is None


def _phone(found: str) -> bool:
    return _MIN_PHONE <= len(check.digits(found)) <= _MAX_PHONE


def _address(found: str) -> bool:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return False
    return any(one.isdigit() for one in found)


def _v4(found: str, before: str) -> float:
    return FAIR if not before.endswith((".", "v", ":")) and _address(found) else 0.0


def _v6(found: str, before: str) -> float:
    colons = found.count(":")
    likely = (colons > 5 or (colons > 1 and "::" in found)) and not before[-1:].isalnum()
    return FAIR if likely and not before.endswith((":", ".")) and _address(found) else 0.0


def _iban(found: str) -> bool:
    return check.iban(found)


def _ibans() -> Iterator[Rule]:
    for length, countries in _IBAN_LENGTHS.items():
        pattern = rf"\b(?:{'|'.join(countries.split())})\d{{2}}(?:[ -]?[A-Z0-9]){{{length - 4}}}\b"
        yield Rule("IBAN_CODE", pattern, _sure(_iban), score=SURE)


def _generic() -> Iterator[Rule]:
    letter = r"A-Za-z0-9\x{c0}-\x{24f}"
    yield Rule(
        "EMAIL_ADDRESS",
        rf"[{letter}_][{letter}_.%+'-]{{0,63}}@(?:[{letter}][{letter}-]{{0,62}}\.){{1,5}}[A-Za-z]{{2,24}}",
        sieve="@",
    )
    yield Rule(
        "URL",
        r"(?i)\bhttps?://[^\s<>\"'`{}|\\^\x{3001}-\x{3011}\x{ff08}-\x{ff1b}]{3,300}",
        sieve="(?i)https?://",
        score=FAIR,
    )
    yield Rule(
        "URL",
        r"(?i)\bwww\.(?:[a-z0-9-]{1,63}\.){1,6}[a-z]{2,24}(?:/[^\s<>\"'`{}|\\^\x{3001}-\x{3011}\x{ff08}-\x{ff1b}]{0,200})?",
        score=FAIR,
    )
    yield Rule("IP_ADDRESS", r"\b(?:\d{1,3}\.){3}\d{1,3}\b", _v4)
    yield Rule(
        "IP_ADDRESS",
        r"((?:[0-9A-Fa-f]{1,4}:|::)(?:[0-9A-Fa-f]{0,4}:){0,7}(?:[0-9A-Fa-f]{0,4}|(?:\d{1,3}\.){3}\d{1,3}))(?:[^0-9A-Za-z_:.]|\.(?:[^0-9A-Za-z]|\z)|\z)",
        _v6,
        group=1,
        sieve=r"[0-9A-Fa-f]?:[0-9A-Fa-f]{0,4}:",
    )
    yield Rule(
        "CREDIT_CARD",
        r"\b(?:\d{12,19}|\d{4}(?:[ -]\d{4}){3}(?:[ -]\d{1,3})?|\d{4}[ -]\d{6}[ -]\d{4,5})\b",
        _sure(_card),
    )
    yield from _ibans()
    yield Rule("CRYPTO", r"\b[13][1-9A-HJ-NP-Za-km-z]{25,34}\b", _sure(check.base58))
    yield Rule("CRYPTO", r"(?i)\bbc1[02-9ac-hj-np-z]{11,71}\b", _sure(check.bech32), sieve="(?i)bc1")
    yield Rule("CRYPTO", r"\b0x[0-9a-fA-F]{40}\b", sieve="0x[0-9a-fA-F]{8}", score=FAIR)
    yield from _phones()


def _phones() -> Iterator[Rule]:
    kind = "PHONE_NUMBER"
    told = _WORDS["phone"]
    yield Rule(
        kind,
        r"(?:\+[1-9]\d{0,2}|\b00[1-9]\d{0,2}[ .-])(?:[ .-]?\(0?\d{1,4}\)|[ .-]?\d{1,4}){1,5}[ .-]?\d{2,4}\b",
        _sure(_phone, FAIR + 0.1),
    )
    yield Rule(kind, r"(?:\(\d{3}\) ?|\b\d{3}[-.])\d{3}[-.]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,5})?\b", score=FAIR)
    yield Rule(kind, r"\b1[3-9]\d(?:[ -]?\d{4}){2}\b", score=FAIR)
    yield Rule(kind, r"(?:\b0\d{2,3}[- ]|\(0\d{2,3}\) ?)[2-9]\d{6,7}\b", score=FAIR)
    yield Rule(kind, r"\b0\d{1,4}(?:[ .-]?\d{2,4}){2,4}\b", _after(told, _phone))
    yield Rule(kind, r"\b[2-9]\d{2}(?:[ .-]?\d{3})[ .-]?\d{4}\b", _after(told, _phone))


def _american() -> Iterator[Rule]:
    yield Rule("US_SSN", r"\b\d{3}-\d{2}-\d{4}\b", _after(_WORDS["ssn"], _ssn, FAIR))
    yield Rule("US_SSN", r"\b\d{3} ?\d{2} ?\d{4}\b", _after(_WORDS["ssn"], _ssn))
    itin = r"\b9\d{2}[ -]?(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])[ -]?\d{4}\b"
    yield Rule("US_ITIN", itin.replace("[ -]?", "-"), _after(_WORDS["itin"], None, FAIR))
    yield Rule("US_ITIN", itin, _after(_WORDS["itin"]))
    yield Rule("US_BANK_NUMBER", r"\b\d{8,17}\b", _after(_WORDS["bank"]))
    yield Rule(
        "US_DRIVER_LICENSE", r"\b[A-Z]{1,2}\d{3,13}\b|\b\d{6,14}\b|\b[A-Z]\d{3}-\d{4}-\d{4}\b", _after(_WORDS["driver"])
    )
    yield Rule("US_PASSPORT", r"\b[A-Z]?\d{8,9}\b", _after(_WORDS["passport"]))
    yield Rule("MEDICAL_LICENSE", r"\b[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}\b", _sure(check.dea))


def _european() -> Iterator[Rule]:
    yield Rule("UK_NHS", r"\b\d{3}[ -]?\d{3}[ -]?\d{4}\b", _sure(check.nhs))
    yield Rule(
        "UK_NINO", r"(?i)\b[a-ceghj-pr-tw-z][a-ceghj-npr-tw-z] ?\d{2} ?\d{2} ?\d{2} ?[a-d]\b",
        _sure(lambda found: found[:2].upper() not in {"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}, FAIR),
    )  # fmt: skip
    yield Rule(
        "ES_NIF", r"(?i)\b\d{7,8}-?[a-z]\b", _sure(lambda found: found[-1].upper() not in "IÑOU" and check.nif(found))
    )
    yield Rule("ES_NIE", r"(?i)\b[xyz]\d{7,8}-?[a-z]\b", _sure(check.nif))
    yield Rule(
        "IT_FISCAL_CODE",
        r"(?i)\b[a-z]{6}[0-9l-nq-v]{2}[a-ehlmprst][0-9l-nq-v]{2}[a-z][0-9l-nq-v]{3}[a-z]\b",
        _sure(check.fiscal),
    )
    yield Rule("IT_VAT_CODE", r"\b(?:IT ?)?\d{11}\b", _sure(check.partita))
    yield Rule("PL_PESEL", r"\b\d{2}[0-9]\d[0-3]\d{6}\b", _sure(check.pesel))
    yield Rule("FI_PERSONAL_IDENTITY_CODE", r"[0-3]\d[01]\d{3}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]\b", _sure(check.finnish))


def _asian() -> Iterator[Rule]:
    yield Rule("SG_NRIC_FIN", r"(?i)\b[stfgm]\d{7}[a-z]\b", _sure(check.nric))
    yield Rule("SG_UEN", r"\b(?:\d{8,9}[A-Z]|[TSR]\d{2}[A-Z]{2}\d{4}[A-Z])\b", _sure(check.uen))
    yield Rule("IN_PAN", r"(?i)\b[a-z]{3}[abcfghljpt][a-z]\d{4}[a-z]\b", score=FAIR)
    yield Rule("IN_AADHAAR", r"\b[2-9]\d{3}[ -:]?\d{4}[ -:]?\d{4}\b", _sure(check.aadhaar))
    yield Rule("CN_ID", r"\b[1-9]\d{5}(?:18|19|20)\d{2}[01]\d[0-3]\d{4}[0-9Xx]\b", _sure(check.chinese))


def _australian() -> Iterator[Rule]:
    yield Rule("AU_ABN", r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b", _sure(check.abn))
    yield Rule("AU_ACN", r"\b\d{3} ?\d{3} ?\d{3}\b", _sure(check.acn))
    yield Rule("AU_TFN", r"\b\d{3} ?\d{3} ?\d{3}\b", _sure(check.tfn))
    yield Rule("AU_MEDICARE", r"\b[2-6]\d{3} ?\d{5} ?\d\b", _sure(check.medicare))


RULES: Sequence[Rule] = (*_generic(), *_american(), *_european(), *_asian(), *_australian())
