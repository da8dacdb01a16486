"""Check digits of national identity, tax and health numbers. Each function takes a match as it was found.

Sources: the issuing authorities' own rules, ISO 7064 (mod 97-10, mod 11-10), and Presidio's names for the types.
"""

from __future__ import annotations

from adapters.detectors.pii.checksums import born, digits, luhn, weighed

_VERIFIED = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TAIWAN = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def mod11_10(text: str) -> bool:
    """Tell whether the last digit is that of ISO 7064, mod 11-10."""
    *numbers, last = digits(text)
    product = 10
    for number in numbers:
        total = (number + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == last


def korean_birthday(text: str) -> bool:
    """Tell whether a Korean resident or foreigner number has a birthday, of which its seventh digit says the century."""
    numbers = digits(text)
    century = 1900 if numbers[6] in {1, 2, 5, 6} else 2000
    return born(century + int(text[:2]), int(text[2:4]), int(text[4:6]))


def korean(text: str) -> bool:
    """Tell whether a Korean resident or foreigner number has a birthday and the check digit of its kind."""
    numbers = digits(text)
    check = (11 - weighed(numbers, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    foreign = 5 <= numbers[6] <= 8
    return korean_birthday(text) and numbers[12] == ((check + 2) % 10 if foreign else check)


def turkish(text: str) -> bool:
    """Tell whether a Turkish identity number has its two check digits."""
    numbers = digits(text)
    odd, even = sum(numbers[0:9:2]), sum(numbers[1:8:2])
    return (odd * 7 - even) % 10 == numbers[9] and sum(numbers[:10]) % 10 == numbers[10]


def south_african(text: str) -> bool:
    """Tell whether a South African identity number has a birthday and Luhn's digit."""
    numbers = digits(text)
    month, day = numbers[2] * 10 + numbers[3], numbers[4] * 10 + numbers[5]
    return born(2000, month, day) and numbers[10] in {0, 1, 2} and luhn(text)


def swedish(text: str) -> bool:
    """Tell whether a personnummer has a birthday (a day above 60 is a coordination number's) and Luhn's digit."""
    numbers = digits(text)[-10:]
    month, day = numbers[2] * 10 + numbers[3], numbers[4] * 10 + numbers[5]
    return born(2000, month, day - 60 if day > 60 else day) and luhn("".join(map(str, numbers)))


def thai(text: str) -> bool:
    """Tell whether a Thai identity number has its check digit."""
    numbers = digits(text)
    return numbers[0] not in {0, 9} and (11 - weighed(numbers, range(13, 1, -1)) % 11) % 10 == numbers[12]


def german_tax(text: str) -> bool:
    """Tell whether a German tax identification number has its check digit, and one digit two or three times in the first ten."""
    numbers = digits(text)
    counts = sorted((numbers[:10].count(one) for one in set(numbers[:10])), reverse=True)
    return numbers[0] > 0 and counts[0] in {2, 3} and counts[1] == 1 and mod11_10(text)


def german_pension(text: str) -> bool:
    """Tell whether a German pension insurance number has a birthday and its check digit."""
    kept = "".join(one for one in text.upper() if one.isalnum())
    day = int(kept[2:4])
    if not born(2000, int(kept[4:6]), day - 50 if day > 50 else day):
        return False
    letter = f"{ord(kept[8]) - ord('A') + 1:02}"
    numbers = digits(kept[:8] + letter + kept[9:11])
    products = (number * weight for number, weight in zip(numbers, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True))
    return sum(sum(divmod(one, 10)) for one in products) % 10 == int(kept[11])


def cpf(text: str) -> bool:
    """Tell whether a Brazilian CPF has its two check digits."""
    numbers = digits(text)
    if len(set(numbers)) == 1:
        return False
    return all(weighed(numbers[:at], range(at + 1, 1, -1)) * 10 % 11 % 10 == numbers[at] for at in (9, 10))


def cnpj(text: str) -> bool:
    """Tell whether a Brazilian CNPJ has its two check digits."""
    numbers = digits(text)
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    right = (weighed(numbers, weights[13 - at :]) for at in (12, 13))
    return len(set(numbers)) > 1 and all(
        (0 if one % 11 < 2 else 11 - one % 11) == numbers[at] for one, at in zip(right, (12, 13), strict=True)
    )


def french(text: str) -> bool:
    """Tell whether a French social security number leaves its key modulo 97 (Corsica's 2A and 2B are 19 and 18)."""
    kept = "".join(one for one in text.upper() if one.isalnum()).replace("2A", "19").replace("2B", "18")
    return kept.isdigit() and len(kept) == 15 and 97 - int(kept[:13]) % 97 == int(kept[13:])


def belgian(text: str) -> bool:
    """Tell whether a Belgian register number has a birthday and its key modulo 97 (of those born from 2000 on with a 2 before)."""
    kept = "".join(map(str, digits(text)))
    month, day, key = int(kept[2:4]), int(kept[4:6]), int(kept[9:])
    dated = born(2000, month % 20 or 1, day or 1)
    return dated and any(97 - int(first + kept[:9]) % 97 == key for first in ("", "2"))


def norwegian(text: str) -> bool:
    """Tell whether a fødselsnummer has a birthday (D numbers: a day above 40) and its two check digits."""
    numbers = digits(text)
    day, month = numbers[0] * 10 + numbers[1], numbers[2] * 10 + numbers[3]
    if not born(2000, month, day - 40 if day > 40 else day):
        return False
    first = weighed(numbers, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    return first == 0 and weighed(numbers, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def swiss(text: str) -> bool:
    """Tell whether an AHV number has the check digit of EAN-13."""
    return weighed(digits(text), (1, 3) * 6 + (1,)) % 10 == 0


def dutch(text: str) -> bool:
    """Tell whether a BSN passes the test of eleven."""
    numbers = digits(text)
    return any(numbers) and weighed(numbers, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def chilean(text: str) -> bool:
    """Tell whether a Chilean RUT has its check character."""
    kept = "".join(one for one in text.upper() if one.isalnum())
    place = 11 - weighed(digits(kept[:-1])[::-1], (2, 3, 4, 5, 6, 7) * 2) % 11
    return {10: "K", 11: "0"}.get(place, str(place)) == kept[-1]


def gstin(text: str) -> bool:
    """Tell whether an Indian GSTIN has its check character."""
    places = [_VERIFIED.index(one) for one in text.upper()]
    total = sum(sum(divmod(place * (1 + at % 2), 36)) for at, place in enumerate(places[:14]))
    return (36 - total % 36) % 36 == places[14]


def taiwanese(text: str) -> bool:
    """Tell whether a Taiwanese identity number has its check digit."""
    area = 10 + _TAIWAN.index(text[0].upper())
    numbers = [*divmod(area, 10), *digits(text[1:])]
    return weighed(numbers, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def hongkong(text: str) -> bool:
    """Tell whether a Hong Kong identity number has its check character."""
    kept = "".join(one for one in text.upper() if one.isalnum()).rjust(9)
    values = [36 if one == " " else int(one, 36) for one in kept]
    return weighed(values, (9, 8, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def curp(text: str) -> bool:
    """Tell whether a Mexican CURP has a birthday and its check digit."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    kept = text.upper()
    total = weighed([alphabet.index(one) for one in kept[:17]], range(18, 1, -1))
    return born(2000, int(kept[6:8]), int(kept[8:10])) and (10 - total % 10) % 10 == int(kept[17])


def npi(text: str) -> bool:
    """Tell whether a US provider number has Luhn's digit behind the prefix of health (80840)."""
    return luhn(f"80840{text}")


def vat(text: str) -> bool:
    """Tell whether a German VAT number has its check digit."""
    return mod11_10(text) and any(digits(text)[:8])
