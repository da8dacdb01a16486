"""How personal data is written that is the same everywhere: mail, addresses, cards, accounts, phones; and all rules together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

from adapters.detectors.pii import checksums as check
from adapters.detectors.pii.contexts import (
    FAIR,
    SEP,
    SEPS,
    SURE,
    WEAK,
    WORDS,
    after,
    bordered,
    crowded,
    plain,
    sure,
    told,
)
from adapters.detectors.pii.countries import american, asian, australian, compact_chinese, european
from engine.scanning import Rule

_IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FO FI GL NL SD FK", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM TL SO", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "PT ST LY AO CV MZ GW",
    26: "IS TR DZ IR", 27: "FR GR IT MC MR SM BI DJ CM GA CF CG TD KM GQ MG", 28: "AL AZ BY CY DO GT HU LB NI PL SV BJ BF CI HN MA ML NE SN TG", 29: "BR EG PS QA UA",
    30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_CARDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0|[689])\d{12,13}|6(?:011|5\d\d|4[4-9]\d)\d{12,15}"
    r"|35\d{14}|62\d{14,17}|(?:5[0678]|6[0-9])\d{10,17}|(?:1800|2131)\d{11}|1\d{14}|9792\d{12}|220[0-4]\d{12}"
)
_WIDE_PHONES = re.compile(r"(?:\+?86)?1[3-9]\d{9}|\+[1-9]\d{7,14}|0\d{9,11}")
_MIN_PHONE, _MAX_PHONE = 8, 15
_NO_ADDRESS = re.compile(
    r"(?i)\b(?:version|ver\.?|release|firmware|build|v|section|chapter|oid)\s{0,2}[:=]?\s{0,2}$|\.$|:[0-9a-f]{0,4}:$"
)


def _card(found: str, before: str) -> float:
    if not bordered(before) or before.endswith("."):
        return 0.0
    number = "".join(one for one in plain(found) if one.isdigit())
    right = _CARDS.fullmatch(number) is not None and len(set(number)) > 1 and check.luhn(number)
    if not right or crowded(before):
        return 0.0
    return SURE if len(number) > 12 or told(WORDS["card"], before) else WEAK


def _phone(found: str) -> bool:
    dated = re.match(r"(?:19|20)\d\d\D+(?:\d\d?\D+\d\d?|(?:19|20)\d\d)$", found)
    return dated is None and _MIN_PHONE <= len(check.digits(found)) <= _MAX_PHONE


def _local(found: str, before: str) -> float:
    return FAIR if bordered(before) and not before.endswith((".", "-", "/")) and len(set(found)) > 3 else 0.0


def _international(found: str, before: str) -> float:
    least = 11 if found.startswith("00") else _MIN_PHONE
    if not least <= len(check.digits(plain(found))) <= _MAX_PHONE + 2 * found.startswith("00") or not bordered(before):
        return 0.0
    spaced = found.startswith(("+", "\uff0b", "(")) or not found.isdigit()
    return FAIR + 0.1 if spaced or told(WORDS["phone"], before) else WEAK


def _address(found: str) -> bool:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return False
    return any(one.isdigit() for one in found)


def _v4(found: str, before: str) -> float:
    return FAIR if _NO_ADDRESS.search(before[-16:]) is None and _address(plain(found)) else 0.0


def _v6(found: str, before: str) -> float:
    colons = found.count(":")
    likely = (colons > 5 or (colons > 1 and "::" in found)) and bordered(before)
    return FAIR if likely and not before.endswith((":", ".")) and _address(found) else 0.0


def _device(found: str, before: str) -> float:
    return (
        FAIR
        if len(set(found)) > 2 and not found.replace(".", "").isdigit() and before[-1:] not in {".", ":", "-"}
        else 0.0
    )


def _crypto(match: str, _: str) -> float:
    found = plain(match)
    if found.startswith("0x"):
        return FAIR
    return SURE if (check.bech32 if found[:3].lower() == "bc1" else check.base58)(found) else 0.0


def _ibans() -> str:
    gap = r"[ .\x{a0}\x{202f}-]"
    ways = (
        rf"(?:{'|'.join(countries.split())}){gap}?\d{{2}}(?:{gap}?[A-Za-z0-9]){{{length - 4}}}"
        for length, countries in _IBAN_LENGTHS.items()
    )
    return rf"(?i)\b(?:IBAN)?((?:{'|'.join(ways)}))\b"


def _generic() -> Iterator[Rule]:
    yield from _mail()
    yield Rule(
        "URL",
        r"(?i)\bhttps?://[^\s<>\"'`{}|\\^\x{3001}-\x{3011}\x{ff08}-\x{ff1b}]{3,300}"
        r"|\bwww\.(?:[a-z0-9-]{1,63}\.){1,6}[a-z]{2,24}(?:/[^\s<>\"'`{}|\\^\x{3001}-\x{3011}\x{ff08}-\x{ff1b}]{0,200})?",
        sieve=r"(?i)https?://|\bwww\.",
        score=FAIR,
    )
    yield Rule("IP_ADDRESS", r"\b(?:\d{1,3}\.){3}\d{1,3}\b", _v4)
    yield Rule(
        "IP_ADDRESS",
        r"((?:[0-9A-Fa-f]{1,4}:|::)(?:[0-9A-Fa-f]{0,4}:){0,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4}))(?:[^0-9A-Za-z_:.]|\.(?:[^0-9A-Za-z]|\z)|\z)",
        _v6,
        group=1,
        sieve=r"[0-9A-Fa-f]?:[0-9A-Fa-f]{0,4}:",
    )
    yield Rule(
        "MAC_ADDRESS", r"\b(?:[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2})\b", _device
    )
    yield Rule(
        "CREDIT_CARD",
        rf"\b(?:\d{{12,19}}|\d{{4}}(?:{SEPS}\d{{4}}){{2}}{SEPS}\d{{1,5}}(?:{SEPS}\d{{1,3}})?|\d{{4}}{SEPS}(?:\d{{6}}{SEPS}\d{{4,5}}|\d{{8}}{SEPS}\d{{4}}|\d{{5}}{SEPS}\d{{6}}|\d{{12}})|\d{{8}}{SEPS}\d{{8}}|\d{{6}}{SEPS}\d{{6,13}}(?:{SEPS}\d{{1,4}})?|\d{{5}}(?:{SEPS}\d{{5}}){{2}})\b",
        _card,
    )
    yield Rule("IBAN_CODE", _ibans(), sure(check.iban), group=1, score=SURE)
    yield Rule(
        "CRYPTO",
        r"\b(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?i:bc1[02-9ac-hj-np-z]{11,71})|0x[0-9a-fA-F]{40})\b",
        _crypto,
        sieve=r"(?i)bc1|0x[0-9a-fA-F]{8}|\b[13][1-9A-HJ-NP-Za-km-z]{25}",
    )
    yield from _phones()
    yield from _wide()


def _mail() -> Iterator[Rule]:
    letter = r"A-Za-z0-9\x{c0}-\x{24f}\x{370}-\x{3ff}\x{400}-\x{4ff}"
    wide = rf"{letter}\x{{3040}}-\x{{30ff}}\x{{4e00}}-\x{{9fff}}\x{{ac00}}-\x{{d7a3}}"
    label = f"[{wide}][{wide}-]{{0,62}}"
    tops = r"\x{4e2d}\x{56fd}|\x{4e2d}\x{570b}|\x{516c}\x{53f8}|\x{7f51}\x{7edc}|\x{7f51}\x{5740}|\x{5728}\x{7ebf}|\x{9999}\x{6e2f}|\x{53f0}\x{7063}|\x{53f0}\x{6e7e}|[\x{370}-\x{4ff}]{2,20}"
    local = rf"(?:[{letter}_][{letter}_.%+'~!#$*/?^-]{{0,63}}|\"[^\"\n]{{1,62}}\")"
    host = rf"(?:(?:{label}\.){{1,5}}(?:xn--[A-Za-z0-9-]{{2,58}}|[A-Za-z]{{2,24}}|{tops})|\[(?:IPv6:)?[0-9A-Fa-f.:]{{3,45}}\])"
    yield Rule(
        "EMAIL_ADDRESS",
        rf"{local}[@\x{{ff20}}]{host}",
        sieve=r"[@\x{ff20}]",
    )


def _phones() -> Iterator[Rule]:
    kind = "PHONE_NUMBER"
    told = WORDS["phone"]
    gap = rf"(?:{SEPS})?"
    yield Rule(
        kind,
        rf"(?:[+\x{{ff0b}}]{SEP}?[1-9]\d{{0,2}}|\(\+[1-9]\d{{0,2}}\)|\b00[1-9]\d{{0,2}})(?:{gap}\(0?\d{{1,4}}\)|{gap}\d{{1,4}}){{1,6}}{gap}\d{{2,4}}\b",
        _international,
    )
    yield Rule(
        kind,
        rf"(?:\(\d{{3}}\) ?|\b(?:1[-. ])?\d{{3}}[-.])\d{{3}}[-.]\d{{4}}(?:\s?(?:x|ext\.?)\s?\d{{1,5}})?\b|\b1[3-9]\d(?:{SEP}?\d{{4}}){{2}}\b|(?:\b0\d{{2,3}}[- ]|\(0\d{{2,3}}\) ?)[2-9]\d{{6,7}}\b"
        rf"|\b0[1-9](?:[ .-]\d{{2}}){{4}}\b|\b[48]00-\d{{3}}-?\d{{4}}\b|\b0\d{{1,3}}-\d{{3,4}}-\d{{4}}\b|\(0\d{{1,4}}\)[ -]?\d{{3,4}}[ -]?\d{{3,4}}\b|\(\d{{2}}\) ?9\d{{4}}-\d{{4}}\b",
        _local,
    )
    yield Rule(
        kind,
        rf"\b0\d{{1,4}}(?:{gap}\d{{2,4}}){{2,4}}\b|\b[2-9]\d{{2,4}}(?:{gap}\d{{2,4}}){{2,3}}\b|\b0\d{{1,4}}/\d{{4,8}}\b",
        after(told, _phone),
    )


def _wide() -> Iterator[Rule]:
    """Yield rules for numbers in digits of full width: all of one kind, as East Asian keyboards write them."""
    digit = r"[\x{ff10}-\x{ff19}]"
    run = rf"[\x{{ff0b}}]?{digit}(?:{SEP}?{digit}){{9,18}}[\x{{ff38}}\x{{ff58}}Xx]?"
    yield Rule("CREDIT_CARD", run, _card)
    yield Rule("CN_ID", run, _wide_resident)
    yield Rule("PHONE_NUMBER", run, _wide_phone)


def _wide_resident(found: str, before: str) -> float:
    return SURE if bordered(before) and compact_chinese(plain(found)) else 0.0


def _wide_phone(found: str, before: str) -> float:
    return FAIR if bordered(before) and _WIDE_PHONES.fullmatch(re.sub(r"[^\d+]", "", plain(found))) else 0.0


RULES: Sequence[Rule] = (*_generic(), *american(), *european(), *asian(), *australian())
