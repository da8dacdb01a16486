"""Addresses and ranges: what is one, what kind it is, what is in it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.expr.library import FUNCTIONS
from engine.expr.network import IpValue
from engine.expr.values import EvaluationError


def call(name, *arguments):
    return FUNCTIONS[name].call(*arguments)


TESTS = ["isUnspecified", "isLoopback", "isGlobalUnicast", "isLinkLocalMulticast", "isLinkLocalUnicast"]


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("0.0.0.0", "isUnspecified"),  # noqa: S104 - nothing is bound to it
        ("::", "isUnspecified"),
        ("127.9.9.9", "isLoopback"),
        ("::1", "isLoopback"),
        ("10.0.0.1", "isGlobalUnicast"),
        ("2001:db8::1", "isGlobalUnicast"),
        ("fd00::1", "isGlobalUnicast"),
        ("240.0.0.1", "isGlobalUnicast"),
        ("255.255.255.255", ""),
        ("239.1.1.1", ""),
        ("224.0.0.7", "isLinkLocalMulticast"),
        ("ff12::1", "isLinkLocalMulticast"),
        ("ff05::1", ""),
        ("169.254.1.1", "isLinkLocalUnicast"),
        ("febf::1", "isLinkLocalUnicast"),
        ("fec0::1", "isGlobalUnicast"),
    ],
)
def test_what_an_address_is(text, true):
    address = call("ip", text)
    assert [name for name in TESTS if call(name, address)] == ([true] if true else [])
    assert call("family", address) == (6 if ":" in text else 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "256.1.1.1",
        " 1.2.3.4",
        "1.2.3.4\n",
        "1.2.3.4/8",
        "::ffff:1.2.3.4",
        "0:0:0:0:0:ffff:1.2.3.4",
        "fe80::1%eth0",
        "1::2::3",
        ":::",
        "12345::",
        "::1\0",
        "\u0661.2.3.4",
        "x" * 99,
        "[::1]",
    ],
)
def test_what_is_no_address(text):
    assert call("isIP", text) is False
    with pytest.raises(EvaluationError):
        call("ip", text)
    with pytest.raises(EvaluationError):
        call("ip.isCanonical", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "::/129",
        "::/128/1",
        "::ffff:1.2.3.4/96",
        "fe80::%1/64",
        "10.0.0.0/8 ",
        "10.0.0.0/\u0668",
        "1/" * 99,
    ],
)
def test_what_is_no_range(text):
    assert call("isCIDR", text) is False
    with pytest.raises(EvaluationError):
        call("cidr", text)


@pytest.mark.parametrize(
    ("block", "inside", "outside"),
    [
        ("10.1.2.3/8", ["10.255.0.1"], ["11.0.0.1", "::a00:1"]),
        ("0.0.0.0/0", ["255.255.255.255"], ["::"]),
        ("192.168.1.1/32", ["192.168.1.1"], ["192.168.1.0"]),
        ("2001:db8::/33", ["2001:db8:7fff::1"], ["2001:db8:8000::", "32.1.13.184"]),
    ],
)
def test_ranges(block, inside, outside):
    found = call("cidr", block)
    for text in [*inside, *outside]:
        assert call("containsIP", found, text) is call("containsIP", found, call("ip", text)) is (text in inside)
        whole = f"{text}/{128 if ':' in text else 32}"
        assert (
            call("containsCIDR", found, whole) is call("containsCIDR", found, call("cidr", whole)) is (text in inside)
        )
    assert call("string", found) == block
    assert call("string", call("ip", found)) + f"/{call('prefixLength', found)}" == block
    assert call("containsCIDR", found, call("masked", found))
    for wrong in ("x", 1):
        with pytest.raises(EvaluationError):
            call("containsIP", found, wrong)
        with pytest.raises(EvaluationError):
            call("containsCIDR", found, wrong)


def test_a_range_is_not_in_a_narrower_one():
    assert not call("containsCIDR", call("cidr", "10.0.0.0/16"), "10.0.0.0/8")
    assert call("masked", call("cidr", "10.1.2.3/12")) == call("cidr", "10.0.0.0/12")
    assert call("cidr", "10.1.2.3/8") != call("cidr", "10.0.0.0/8")


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_addresses_agree_with_python(address):
    assume(address.version == 4 or address.ipv4_mapped is None)
    for text in {str(address), address.exploded.upper()}:
        assert call("isIP", text)
        assert call("ip", text) == IpValue(address.version, int(address))
        assert call("string", call("ip", text)) == str(ipaddress.ip_address(text))
        assert call("ip.isCanonical", text) is (text == str(address))


def test_ipv4_within_ipv6_in_hexadecimal_is_ipv6():
    address = call("ip", "::FFFF:102:304")
    assert call("family", address) == 6
    assert address != call("ip", "1.2.3.4")
    assert call("string", address) == "::ffff:102:304"
    assert not call("containsIP", call("cidr", "0.0.0.0/0"), address)
