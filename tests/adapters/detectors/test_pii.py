"""Personal data is found by its form; check digits count, and weak forms only after a word that says what follows."""

from __future__ import annotations

import random

import pytest

from adapters.detectors.pii import PRESIDIO, Pii
from adapters.detectors.pii import checksums as check

FOUND = [
    ("EMAIL_ADDRESS", "mail to jane.doe+x@mail.example.co.uk.", "jane.doe+x@mail.example.co.uk"), ("EMAIL_ADDRESS", "josé@exämple.org", "josé@exämple.org"),
    ("PHONE_NUMBER", "call +49 30 1234 5678 now", "+49 30 1234 5678"), ("PHONE_NUMBER", "(415) 555-2671", "(415) 555-2671"),
    ("PHONE_NUMBER", "电话13812345678。", "13812345678"), ("PHONE_NUMBER", "总机 010-62751234", "010-62751234"), ("PHONE_NUMBER", "Phone: 0490 75 40 81", "0490 75 40 81"),
    ("CREDIT_CARD", "card 4111 1111 1111 1111!", "4111 1111 1111 1111"), ("CREDIT_CARD", "3782-822463-10005", "3782-822463-10005"),
    ("IBAN_CODE", "DE89 3704 0044 0532 0130 00 BIC", "DE89 3704 0044 0532 0130 00"), ("IBAN_CODE", "GB82WEST12345698765432", "GB82WEST12345698765432"),
    ("IP_ADDRESS", "from 192.168.1.20:80", "192.168.1.20"), ("IP_ADDRESS", "at 2001:db8::8a2e:370:7334.", "2001:db8::8a2e:370:7334"), ("IP_ADDRESS", "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ("URL", "see https://example.org/a?b=c, ok", "https://example.org/a?b=c,"), ("CRYPTO", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    ("CRYPTO", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"), ("MEDICAL_LICENSE", "DEA BB1388568", "BB1388568"),
    ("US_SSN", "SSN 536-90-4399", "536-90-4399"), ("US_ITIN", "911-70-1234", "911-70-1234"), ("US_BANK_NUMBER", "bank account 945456787654", "945456787654"),
    ("US_DRIVER_LICENSE", "driver license H12234567", "H12234567"), ("US_PASSPORT", "passport no 912803456", "912803456"), ("UK_NHS", "401-023-2137", "401-023-2137"),
    ("UK_NINO", "AA 12 34 56 B", "AA 12 34 56 B"), ("ES_NIF", "55555555K", "55555555K"), ("ES_NIE", "Z8078221M", "Z8078221M"), ("IT_FISCAL_CODE", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ("IT_VAT_CODE", "01333550323", "01333550323"), ("PL_PESEL", "44051401359", "44051401359"), ("SG_NRIC_FIN", "S1234567D", "S1234567D"), ("SG_UEN", "T16RF0037C", "T16RF0037C"),
    ("SG_UEN", "53125226D", "53125226D"), ("AU_ABN", "51 824 753 556", "51 824 753 556"), ("AU_ACN", "000 000 019", "000 000 019"), ("AU_TFN", "876 543 210", "876 543 210"),
    ("AU_MEDICARE", "2123 45670 1", "2123 45670 1"), ("IN_PAN", "AAAPA1234R", "AAAPA1234R"), ("IN_AADHAAR", "3123-4567-8909", "3123-4567-8909"),
    ("FI_PERSONAL_IDENTITY_CODE", "010594Y9032", "010594Y9032"), ("CN_ID", "身份证11010519491231002X。", "11010519491231002X"),
    ("KR_RRN", "주민번호 900101-1791907", "900101-1791907"), ("TR_NATIONAL_ID", "TC 30871668504", "30871668504"), ("ZA_ID_NUMBER", "ID 9001013347082", "9001013347082"),
    ("SE_PERSONNUMMER", "900101-3359", "900101-3359"), ("TH_TNIN", "3-7286-73689-51-0", "3-7286-73689-51-0"), ("DE_TAX_ID", "IdNr 26 383 594 731", "26 383 594 731"),
    ("DE_SOCIAL_SECURITY", "SV-Nr. 15070649C170", "15070649C170"), ("DE_VAT_ID", "DE756717565", "DE756717565"), ("BR_CPF", "CPF 560.090.035-04", "560.090.035-04"),
    ("BR_CNPJ", "46.026.178/0001-02", "46.026.178/0001-02"), ("FR_NIR", "2 69 05 49 588 157 80", "2 69 05 49 588 157 80"), ("BE_NRN", "85.07.30-819.47", "85.07.30-819.47"),
    ("NO_FNR", "01019010984", "01019010984"), ("CH_AHV", "756.9217.0769.23", "756.9217.0769.23"), ("NL_BSN", "BSN 198044823", "198044823"), ("CL_RUT", "12.345.678-5", "12.345.678-5"),
    ("TW_ID", "A282120155", "A282120155"), ("HK_ID", "C069063(3)", "C069063(3)"), ("CA_SIN", "162-656-045", "162-656-045"), ("CA_SIN", "SIN: 162656045", "162656045"),
    ("US_NPI", "NPI 1444411676", "1444411676"), ("US_MBI", "Medicare 7AC2-DE3-FG45", "7AC2-DE3-FG45"), ("IN_GSTIN", "27ABCDE1234F1Z0", "27ABCDE1234F1Z0"),
    ("MX_CURP", "GODE900101HDFRRN05", "GODE900101HDFRRN05"), ("MAC_ADDRESS", "eth0 00:1A:2b:3C:4d:5E up", "00:1A:2b:3C:4d:5E"), ("UK_DRIVING_LICENCE", "JONES710238XY9ZA", "JONES710238XY9ZA"),
]  # fmt: skip
NOT_FOUND = [
    ("CREDIT_CARD", "4111 1111 1111 1112"), ("CREDIT_CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"), ("IBAN_CODE", "DE89 3704 0044 0532 0130 01"), ("IP_ADDRESS", "12:34:56"),
    ("IP_ADDRESS", "2001:db8::256.1.1.1"), ("IP_ADDRESS", "std::vector"), ("IP_ADDRESS", "1.2.3"), ("IP_ADDRESS", "300.1.1.1"), ("US_SSN", "666-12-3456"), ("US_SSN", "123456789"),
    ("US_BANK_NUMBER", "order 945456787654"), ("PHONE_NUMBER", "2024-01-15 12:30"), ("CN_ID", "110105194912310021"), ("CN_ID", "11010519491331002X"), ("ES_NIE", "x9613851q"),
    ("EMAIL_ADDRESS", "hello-world here @ home"), ("CRYPTO", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3"), ("FI_PERSONAL_IDENTITY_CODE", "010594Y9031"), ("UK_NHS", "4010232138"),
    ("KR_RRN", "901301-1791907"), ("TR_NATIONAL_ID", "30871668505"), ("ZA_ID_NUMBER", "9001013347083"), ("SE_PERSONNUMMER", "900101-3358"), ("TH_TNIN", "3728673689510"),
    ("DE_TAX_ID", "26 383 594 732"), ("BR_CPF", "111.111.111-11"), ("FR_NIR", "2 69 05 49 588 157 81"), ("NO_FNR", "01019010985"), ("CH_AHV", "756.9217.0769.24"), ("NL_BSN", "order 198044823"),
    ("CA_SIN", "162656045"), ("CA_SIN", "255 250 250"), ("US_NPI", "1444411676"), ("AU_ACN", "255.255.255.0"), ("AU_ACN", "255 250 250"), ("US_SSN", "02110-1301"), ("US_SSN", "802.11-2012"),
    ("IN_PAN", "commit aceac0581c"), ("IN_AADHAAR", "52FB 52FE 5208 5348 5347 5345"), ("CREDIT_CARD", "511F 511E 5114 5110 5115 5180"), ("IP_ADDRESS", "Version: 1.2.3.4"), ("IP_ADDRESS", "fe80::1::2"),
    ("MAC_ADDRESS", "A0:1B:2C:3D:4E"), ("PHONE_NUMBER", "Telephone laws of 2007-2013"), ("PHONE_NUMBER", "strings 22974354"), ("UK_NHS", "in '0123456789'"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "found"), FOUND)
def test_a_type_is_found_alone(kind, text, found):
    hits = Pii([kind]).find(text)
    assert [(hit.type, text[hit.start : hit.end].rstrip(",")) for hit in hits] == [(kind, found.rstrip(","))]


@pytest.mark.parametrize(("kind", "text"), NOT_FOUND)
def test_what_only_looks_alike_is_not_found(kind, text):
    assert not Pii([kind]).find(text)


def test_every_type_is_tested():
    assert {kind for kind, _, _ in FOUND} == set(Pii("all").types)


def test_all_finds_each():
    every = Pii("all")
    missed = [(kind, text) for kind, text, _ in FOUND if not every.find(text)]
    assert missed == []


def test_a_threshold_asks_for_more():
    text = "911-70-1234 and 4111 1111 1111 1111"
    assert [hit.type for hit in Pii({"types": ["US_ITIN", "CREDIT_CARD"], "threshold": 0.9}).find(text)] == [
        "CREDIT_CARD"
    ]


@pytest.mark.parametrize("kind", sorted(PRESIDIO))
def test_what_has_no_form_needs_presidio(kind):
    with pytest.raises(ValueError, match="needs Presidio"):
        Pii([kind])


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (["CREDIT_CRAD"], "did you mean `CREDIT_CARD`"), (["NOTHING_LIKE_IT"], "known are"), ([], "write `all`"), ("some", "write `all`"),
        ({"types": "all", "threshold": 0}, "`threshold`"), ({"kinds": []}, "unknown field `kinds`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(said, error):
    with pytest.raises(ValueError, match=error):
        Pii(said)


def test_check_digits_tell_one_number_in_ten():
    draw = random.Random(7)
    numbers = ["4" + "".join(draw.choices("0123456789", k=15)) for _ in range(5_000)]
    assert 0.08 < sum(map(check.luhn, numbers)) / len(numbers) < 0.12


def test_one_wrong_digit_is_noticed():
    card = "4111111111111111"
    changed = [card[:at] + digit + card[at + 1 :] for at in range(16) for digit in "0123456789" if digit != card[at]]
    assert not any(map(check.luhn, changed))
    iban = "DE89370400440532013000"
    changed = [iban[:at] + digit + iban[at + 1 :] for at in range(4, 22) for digit in "0123456789" if digit != iban[at]]
    assert not any(map(check.iban, changed))
