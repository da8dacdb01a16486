"""How far a number is trusted: by its check digits, by its groups, by the words before it, by what stands around it.

A format that says little by itself counts only after a word that says what follows. A checksum counts for itself; where it is
`grouped`, one digit of a number that one in ten would have, it wants the customary groups or a word too. Between the groups of a number may stand whatever people put
there: spaces that break or not, dots, dashes, strokes. Digits of full width are read like others.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable

import re2

from engine.closure import compiled
from engine.scanning import Check

WEAK, FAIR, SURE = 0.3, 0.6, 1.0
"""What a format says alone, with its edges in place, with a checksum."""
TOLD = 0.85
"""What a word before it makes of a weak format."""
_SPACE = r" \t\x{a0}\x{2007}\x{2009}\x{202f}\x{3000}"
_DASH = r"\x{2010}-\x{2015}\x{2212}\x{fe63}\x{ff0d}-"
SEP = rf"[{_SPACE}.{_DASH}]"
GAP = rf"[{_SPACE}{_DASH}]"
SEPS = rf"[{_SPACE}./{_DASH}]{{1,3}}"
"""What may stand between groups: one separator, one that is no dot, one with spaces around it."""
_DASHES = dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
WORDS = {
    "phone": "phone tel call mobile cell fax contact whatsapp sms number: telephone telefon móvil celular telefone téléphone телефон 电话 電話 手机 手機 联系 致电 號碼 号码 座机 热线 傳真 传真 전화 handy dial",
    "ssn": "ssn social security ssns ss# ssid",
    "itin": "itin taxpayer individual tax",
    "bank": "account acct bank checking savings debit routing aba a/c iban konto 账号 帐号 卡号",
    "driver": "driver license licence permit dl# dls dmv lic# lic.",
    "passport": "passport travel document 护照",
    "card": "card credit debit visa master maestro amex karte carte tarjeta 卡",
    "sin": "sin social insurance nas canad",
    "bsn": "bsn burgerservice sofi dutch nederland",
    "thai": "thai citizen national id บัตร",
    "npi": "npi provider physician doctor",
}
_CROWD = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{3,8}[ \t\n,.-]{1,2}){2,}$")
_LETTERED = re.compile(r"\d[A-Fa-f]|[A-Fa-f]\d")


def plain(found: str) -> str:
    """Return a match with digits, letters and dashes of ASCII."""
    return found if found.isascii() else unicodedata.normalize("NFKC", found).translate(_DASHES)


@functools.cache
def _any(words: str) -> re2._Regexp:
    """Compile some words, each a pattern of RE2's own: one that is no ASCII stands anywhere, others where a word begins."""
    listed = sorted(map(re.escape, words.split()), key=len, reverse=True)
    begun = "|".join(one for one in listed if one.isascii())
    anywhere = [one for one in listed if not one.isascii()]
    return compiled("|".join([rf"(?:\A|[^a-z])(?:{begun})", *anywhere]))


def told(words: str, before: str) -> bool:
    """Tell whether one of some words stands before."""
    return _any(words).search(before.lower().encode()) is not None


def after(words: str, inner: Callable[[str], bool] | None = None, alone: float = WEAK) -> Check:
    """Return a check that wants one of some words before, or a score of its own from what stands alone."""
    _any(words)  # compiled now, and not while a text waits

    def score(found: str, before: str) -> float:
        if inner is not None and not inner(plain(found)):
            return 0.0
        return TOLD if told(words, before) else alone

    return score


def sure(inner: Callable[[str], bool], score: float = SURE) -> Check:
    """Return a check for what is sure by itself."""
    return lambda found, _: score if inner(plain(found)) else 0.0


def grouped(words: str, inner: Callable[[str], bool]) -> Check:
    """Return a check for a number with one check digit: it wants groups, or a word before."""
    _any(words)  # as above

    def score(found: str, before: str) -> float:
        if not inner(plain(found)):
            return 0.0
        return SURE if not plain(found).isalnum() or told(words, before) else WEAK

    return score


def dashed(words: str, inner: Callable[[str], bool] | None = None) -> Check:
    """Return a check that is fair of a number with dashes, and of one without wants a word before."""

    def score(found: str, before: str) -> float:
        alone = FAIR if "-" in plain(found) else WEAK
        return after(words, inner, alone)(found, before)

    return score


def lone(inner: Callable[[str], bool]) -> Check:
    """Return a check for a number in groups that stands in no table of such groups."""
    return lambda found, before: SURE if inner(plain(found)) and not crowded(before) else 0.0


def crowded(before: str) -> bool:
    """Tell whether what follows stands behind groups of hexadecimal digits, and is itself a piece of such a table."""
    run = _CROWD.search(before)
    return run is not None and len(_LETTERED.findall(run[0])) > 1


def bordered(before: str) -> bool:
    """Tell whether no letter, digit or sign of a number stands directly before."""
    return not (before[-1:].isascii() and before[-1:].isalnum()) and not before[-1:].isdigit()
