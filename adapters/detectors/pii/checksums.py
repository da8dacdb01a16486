"""Check digits: what tells an account number from a number. Each function takes a match as it was found.

Sources: ISO/IEC 7812 (Luhn), ISO 13616 (IBAN), GB 11643 (China), Verhoeff 1969 (Aadhaar), and the issuing authorities' own rules.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

_CONTROL = "TRWAGMYFPDXBNJZSQVHLCKE"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_FISCAL_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
_UEN_LETTERS = "ABCDEFGHJKLMNPQRSTUVWX0123456789"
_NRIC = {
    "S": (0, "JZIHGFEDCBA"),
    "T": (4, "JZIHGFEDCBA"),
    "F": (0, "XWUTRQPNMLK"),
    "G": (4, "XWUTRQPNMLK"),
    "M": (3, "XWUTRQPNJLK"),
}


def digits(text: str) -> list[int]:
    """Return the ASCII digits of a text."""
    return [int(one) for one in text if "0" <= one <= "9"]


def weighed(numbers: Sequence[int], weights: Sequence[int]) -> int:
    """Return the sum of numbers, each times its weight."""
    return sum(number * weight for number, weight in zip(numbers, weights, strict=False))


def luhn(text: str) -> bool:
    """Tell whether the last digit is Luhn's."""
    numbers = digits(text)[::-1]
    return sum(numbers[::2]) % 10 == -sum(sum(divmod(2 * one, 10)) for one in numbers[1::2]) % 10


def iban(text: str) -> bool:
    """Tell whether an IBAN leaves 1 modulo 97."""
    kept = [one for one in text.upper() if one.isascii() and one.isalnum()]
    return int("".join(str(int(one, 36)) for one in kept[4:] + kept[:4])) % 97 == 1


def born(year: int, month: int, day: int) -> bool:
    """Tell whether there was such a day."""
    try:
        dt.date(year, month, day)
    except ValueError:
        return False
    return True


def chinese(text: str) -> bool:
    """Tell whether a resident identity number has a birthday and its check digit."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    dated = born(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    return dated and "10X98765432"[weighed(digits(text[:17]), weights) % 11] == text[17].upper()


def pesel(text: str) -> bool:
    """Tell whether a PESEL has a birthday (the month says the century) and its check digit."""
    numbers = digits(text)
    month = int(text[2:4])
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[month // 20]
    dated = born(century + int(text[:2]), month % 20, int(text[4:6]))
    return dated and weighed(numbers, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def nhs(text: str) -> bool:
    """Tell whether an NHS number has its check digit."""
    numbers = digits(text)
    return (
        len(set(numbers)) > 1 and text != "0123456789" and weighed(numbers, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def dea(text: str) -> bool:
    """Tell whether a DEA registration has its check digit."""
    a, b, c, d, e, f, check = digits(text)[-7:]
    return (a + c + e + 2 * (b + d + f)) % 10 == check


def nif(text: str) -> bool:
    """Tell whether a NIF or NIE has its letter."""
    kept = "".join(one for one in text.upper() if one.isalnum())
    head = kept[:-1].translate({ord("X"): "0", ord("Y"): "1", ord("Z"): "2"})
    return _CONTROL[int(head) % 23] == kept[-1]


def fiscal(text: str) -> bool:
    """Tell whether a codice fiscale has its letter."""
    kept = text.upper()
    odd = sum(_FISCAL_ODD[one] for one in kept[:15:2])
    even = sum(int(one, 36) % 10 if one.isdigit() else ord(one) - ord("A") for one in kept[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == kept[15]


def partita(text: str) -> bool:
    """Tell whether a partita IVA has its check digit."""
    return len(set(digits(text))) > 1 and luhn(text)


def nric(text: str) -> bool:
    """Tell whether an NRIC or FIN has its letter."""
    kept = text.upper()
    more, letters = _NRIC[kept[0]]
    place = (weighed(digits(kept), (2, 7, 6, 5, 4, 3, 2)) + more) % 11
    return letters[10 - place if kept[0] == "M" else place] == kept[-1]


def uen(text: str) -> bool:
    """Tell whether a UEN, of whichever of its three forms, has its letter."""
    kept = text.upper()
    if kept[0].isalpha():
        places = [_UEN_LETTERS.find(one) for one in kept[:-1]]
        return min(places) >= 0 and _UEN_LETTERS[(weighed(places, (4, 3, 5, 3, 10, 2, 2, 5, 7)) - 5) % 11] == kept[-1]
    if len(kept) == 9:
        return "XMKECAWLJDB"[weighed(digits(kept), (10, 4, 9, 3, 8, 2, 7, 1)) % 11] == kept[-1]
    return "ZKCMDNERGWH"[weighed(digits(kept), (10, 8, 6, 4, 9, 7, 5, 3, 1)) % 11] == kept[-1]


def abn(text: str) -> bool:
    """Tell whether an Australian business number leaves 0 modulo 89."""
    first, *rest = digits(text)
    return first > 0 and any(rest) and weighed([first - 1, *rest], (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) % 89 == 0


def acn(text: str) -> bool:
    """Tell whether an Australian company number has its check digit."""
    numbers = digits(text)
    return any(numbers) and (weighed(numbers, (8, 7, 6, 5, 4, 3, 2, 1)) + numbers[8]) % 10 == 0


def tfn(text: str) -> bool:
    """Tell whether an Australian tax file number has its check digit."""
    numbers = digits(text)
    return any(numbers) and weighed(numbers, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def medicare(text: str) -> bool:
    """Tell whether an Australian Medicare number has its check digit."""
    numbers = digits(text)
    return weighed(numbers, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == numbers[8]


def aadhaar(text: str) -> bool:
    """Tell whether an Aadhaar number has Verhoeff's digit, and is none that reads the same backwards."""
    numbers = digits(text)
    state = 0
    for place, number in enumerate(reversed(numbers)):
        state = int(_DIHEDRAL[state][int(_PERMUTED[place % 8][number])])
    return state == 0 and numbers != numbers[::-1]


def finnish(text: str) -> bool:
    """Tell whether a henkilötunnus has a birthday and its check character."""
    kept = text.upper()
    dated = born(2000 + int(kept[4:6]), int(kept[2:4]), int(kept[:2])) or kept[:4] == "2902"
    return dated and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(kept[:6] + kept[7:10]) % 31] == kept[10]


def base58(text: str) -> bool:
    """Tell whether a Bitcoin address of the old form has its checksum."""
    number = 0
    for one in text:
        number = number * 58 + _BASE58.index(one)
    if number >> 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def bech32(text: str) -> bool:
    """Tell whether a Bitcoin address of the new form has its checksum (BIP 173, BIP 350)."""
    prefix, _, data = text.lower().rpartition("1")
    values = [*(ord(one) >> 5 for one in prefix), 0, *(ord(one) & 31 for one in prefix)]
    state = 1
    for value in [*values, *map(_BECH32.index, data)]:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            state ^= generator if top >> bit & 1 else 0
    return state in {1, 0x2BC830A3}
