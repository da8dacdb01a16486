"""Numbers of persons and of what they are registered with, country by country; types by Presidio's names where it has one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from adapters.detectors.pii import checksums as check
from adapters.detectors.pii import national
from adapters.detectors.pii.contexts import FAIR, GAP, SEP, SURE, WEAK, WORDS, after, dashed, grouped, lone, sure
from engine.scanning import Rule

_INVALID_SSN = re.compile(r"000|666|9\d\d|\d{3}00|\d{5}0000")


def _no_colour(inner: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return a check that wants more than three groups up to 255, which a colour has."""
    return lambda found: inner(found) and any(one[0] == "0" or int(one) > 255 for one in re.findall(r"\d+", found))


def _ssn(found: str) -> bool:
    return _INVALID_SSN.match("".join(map(str, check.digits(found)))) is None


def american() -> Iterator[Rule]:
    """Yield the rules of America."""
    yield Rule(
        "US_SSN",
        r"\b\d{3}(?:-\d{2}-|[ \x{a0}]\d{2}[ \x{a0}]|\.\d{2}\.|\x{2013}\d{2}\x{2013}|\d{2})\d{4}\b",
        dashed(WORDS["ssn"], _ssn),
    )
    yield Rule("US_ITIN", r"\b9\d{2}[ -]?(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])[ -]?\d{4}\b", dashed(WORDS["itin"]))
    yield Rule("US_BANK_NUMBER", r"\b\d{8,17}\b", after(WORDS["bank"]))
    yield Rule(
        "US_DRIVER_LICENSE", r"\b[A-Z]{1,2}\d{3,13}\b|\b\d{6,14}\b|\b[A-Z]\d{3}-\d{4}-\d{4}\b", after(WORDS["driver"])
    )
    yield Rule("US_PASSPORT", r"\b[A-Z]?\d{8,9}\b", after(WORDS["passport"]))
    yield Rule("MEDICAL_LICENSE", r"\b[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}\b", sure(check.dea))
    yield Rule("US_NPI", r"\b[12]\d{9}\b", grouped(WORDS["npi"], national.npi))
    yield Rule(
        "US_MBI",
        r"\b[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d-?[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d-?[AC-HJKMNP-RT-Y]{2}\d{2}\b",
        score=FAIR,
    )
    yield Rule("CA_SIN", rf"\b[1-79]\d{{2}}{GAP}?\d{{3}}{GAP}?\d{{3}}\b", grouped(WORDS["sin"], _no_colour(check.luhn)))
    yield Rule("BR_CPF", r"\b\d{3}\.?\d{3}\.?\d{3}[-/]?\d{2}\b", sure(national.cpf))
    yield Rule("BR_CNPJ", r"\b\d{2}\.?\d{3}\.?\d{3}/?\d{4}-?\d{2}\b", sure(national.cnpj))
    yield Rule("MX_CURP", r"\b[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d\b", sure(national.curp))
    yield Rule("CL_RUT", r"(?i)\b\d{1,2}\.?\d{3}\.?\d{3}-[0-9k]\b", sure(national.chilean))


def european() -> Iterator[Rule]:
    """Yield the rules of Europe."""
    yield Rule("UK_NHS", rf"\b\d{{3}}{SEP}?\d{{3}}{SEP}?\d{{4}}\b", sure(check.nhs))
    yield Rule(
        "UK_NINO", r"(?i)\b[a-ceghj-pr-tw-z][a-ceghj-npr-tw-z][ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[a-d]\b",
        sure(lambda found: found[:2].upper() not in {"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}, FAIR),
    )  # fmt: skip
    yield Rule(
        "UK_DRIVING_LICENCE", r"\b[A-Z9]{5}\d[0156]\d(?:0[1-9]|[12]\d|3[01])\d[A-Z9]{2}[0-9A-Z][A-Z]{2}\b", score=FAIR
    )
    yield Rule(
        "ES_NIF",
        r"(?i)\b(?:\d{7,8}|\d{1,2}\.\d{3}\.\d{3})[- ]?[a-z]\b",
        sure(lambda found: found[-1].upper() not in "IÑOU" and check.nif(found)),
    )
    yield Rule("ES_NIE", r"(?i)\b[xyz]-?\d{7,8}-?[a-z]\b", sure(check.nif))
    yield Rule(
        "IT_FISCAL_CODE",
        r"(?i)\b(?:[a-z]{6}|(?-i:[A-Z]{3} [A-Z]{3} ))[0-9l-nq-v]{2}[a-ehlmprst][0-9l-nq-v]{2} ?[a-z][0-9l-nq-v]{3}[a-z]\b",
        sure(lambda found: check.fiscal(found.replace(" ", ""))),
    )
    yield Rule(
        "IT_VAT_CODE",
        r"\b(?:IT ?)?\d{11}\b",
        lambda found, before: SURE if check.partita(found) and not before.endswith("+") else 0.0,
    )
    yield Rule("PL_PESEL", r"\b\d{2}[0-9]\d[0-3]\d{6}\b", sure(check.pesel))
    yield Rule("FI_PERSONAL_IDENTITY_CODE", r"[0-3]\d[01]\d{3}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]\b", sure(check.finnish))
    yield Rule("DE_TAX_ID", r"\b[1-9]\d(?: ?\d{3}){3}\b", sure(national.german_tax))
    yield Rule("DE_SOCIAL_SECURITY", r"(?i)\b\d{2} ?[0-8]\d[01]\d{3} ?[a-z] ?\d{3}\b", sure(national.german_pension))
    yield Rule("DE_VAT_ID", r"(?i)\bde ?\d{3} ?\d{3} ?\d{3}\b", sure(national.vat))
    yield Rule("FR_NIR", r"(?i)\b[1-478] ?\d{2} ?\d{2} ?(?:\d{2}|2[ab]) ?\d{3} ?\d{3} ?\d{2}\b", sure(national.french))
    yield Rule("BE_NRN", r"\b\d{2}\.?[0-5]\d\.?[0-3]\d-?\d{3}\.?\d{2}\b", sure(national.belgian))
    yield Rule("NL_BSN", r"\b\d{4}\.?\d{2}\.?\d{3}\b", grouped(WORDS["bsn"], national.dutch))
    yield Rule("NO_FNR", r"\b[0-7]\d[0-3]\d{3} ?\d{5}\b", sure(national.norwegian))
    yield Rule("SE_PERSONNUMMER", r"\b(?:19|20)?\d{2}[01]\d[0-9]\d[-+]?\d{4}\b", sure(national.swedish))
    yield Rule("CH_AHV", r"\b756[ .]?\d{4}[ .]?\d{4}[ .]?\d{2}\b", sure(national.swiss))
    yield Rule("TR_NATIONAL_ID", r"\b[1-9]\d{2} ?\d{3} ?\d{3} ?\d{2}\b", sure(national.turkish))


def asian() -> Iterator[Rule]:
    """Yield the rules of Asia and Africa."""
    yield Rule("SG_NRIC_FIN", r"(?i)\b[stfgm]\d{7}[a-z]\b", sure(check.nric))
    yield Rule("SG_UEN", r"\b(?:\d{8,9}[A-Z]|[TSR]\d{2}[A-Z]{2}\d{4}[A-Z])\b", sure(check.uen))
    yield Rule("IN_PAN", r"(?i)\b[a-z]{3}[abcfghljpt][a-z]\d{4}[a-z]\b", _pan)
    yield Rule("IN_AADHAAR", rf"\b[2-9]\d{{3}}(?:{SEP}|:)?\d{{4}}(?:{SEP}|:)?\d{{4}}\b", lone(check.aadhaar))
    yield Rule("IN_GSTIN", r"(?i)\b[0-3]\d[a-z]{5}\d{4}[a-z][1-9a-z]z[0-9a-z]\b", sure(national.gstin))
    yield Rule(
        "CN_ID",
        rf"([1-9]\d{{5}}{SEP}?(?:18|19|20)\d{{2}}{SEP}?[01]\d{SEP}?[0-3]\d{SEP}?\d{{3}}[0-9Xx])(?:[^0-9A-Za-z]|\z)",
        _resident,
        group=1,
    )
    yield Rule("KR_RRN", r"\b\d{2}[01]\d[0-3]\d[- ]?[1-8]\d{6}\b", _korean)
    yield Rule("TH_TNIN", r"\b[1-8][ -]?\d{4}[ -]?\d{5}[ -]?\d{2}[ -]?\d\b", grouped(WORDS["thai"], national.thai))
    yield Rule("TW_ID", r"\b[A-Z][1289]\d{8}\b", sure(national.taiwanese))
    yield Rule("HK_ID", r"\b[A-Z]{1,2}\d{6} ?(?:\([0-9A]\)|\x{ff08}[0-9A]\x{ff09})", sure(national.hongkong))
    yield Rule("ZA_ID_NUMBER", r"\b\d{2}[01]\d[0-3]\d ?\d{4} ?[012]\d{2}\b", sure(national.south_african))


def _pan(found: str, before: str) -> float:
    return FAIR if found.isupper() or "pan" in before.lower() else WEAK


def _korean(found: str, _: str) -> float:
    """Tell whether a number is sure; those given since October 2020 have no check digit, and count with their dash."""
    if national.korean(found):
        return SURE
    return FAIR if found[6] == "-" and national.korean_birthday(found) else 0.0


def compact_chinese(found: str) -> bool:
    """Tell whether a number in whichever groups is a Chinese resident identity number."""
    kept = "".join(one for one in found if one.isalnum())
    return re.fullmatch(r"[0-9]{17}[0-9Xx]", kept) is not None and check.chinese(kept)


def _resident(found: str, before: str) -> float:
    return SURE if not before[-1:].isdigit() and compact_chinese(found) else 0.0


def australian() -> Iterator[Rule]:
    """Yield the rules of Australia."""
    yield Rule("AU_ABN", rf"\b\d{{2}}{SEP}?\d{{3}}{SEP}?\d{{3}}{SEP}?\d{{3}}\b", sure(check.abn))
    yield Rule("AU_ACN", rf"\b\d{{3}}{GAP}?\d{{3}}{GAP}?\d{{3}}\b", sure(_no_colour(check.acn)))
    yield Rule("AU_TFN", rf"\b\d{{3}}{GAP}?\d{{3}}{GAP}?\d{{3}}\b", sure(_no_colour(check.tfn)))
    yield Rule("AU_MEDICARE", rf"\b[2-6]\d{{3}}{SEP}?\d{{5}}{SEP}?\d\b", sure(check.medicare))
