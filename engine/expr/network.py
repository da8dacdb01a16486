"""IP addresses and ranges of them, as values: `cidr("10.0.0.0/8").containsIP(client.ip)`.

Laws of this file:
1. A zone (`fe80::1%eth0`) and IPv4 written within IPv6 (`::ffff:1.2.3.4`) are refused: either would let one host pass
   as another. The latter in hexadecimal is IPv6 to the conformance suite, and equals no IPv4 address.
2. Addresses are numbers; text is made only when asked for.
"""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, Final

from engine.expr.faults import name_type, no_overload
from engine.expr.schema import BOOL, CIDR, INT, IP, STRING, Function, Signature
from engine.expr.values import EvaluationError

_MAPPED: Final = 0xFFFF
_BITS: Final = {4: 32, 6: 128}
_PREFIX: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_LONGEST: Final = 64


class IpValue:
    """An address: its family, 4 or 6, and its number."""

    __slots__ = ("family", "number")

    def __init__(self, family: int, number: int) -> None:
        self.family = family
        self.number = number

    def __eq__(self, other: object) -> bool:
        if isinstance(other, IpValue):
            return self.number == other.number and self.family == other.family
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.family, self.number))

    def __str__(self) -> str:
        if self.family == 4:
            return socket.inet_ntoa(self.number.to_bytes(4, "big"))
        if self.number >> 32 == _MAPPED:
            # some Pythons write these with dots, which this file would not read
            return f"::ffff:{self.number >> 16 & 0xFFFF:x}:{self.number & 0xFFFF:x}"
        return str(IPv6Address(self.number))


class CidrValue:
    """A range of addresses: one of them, as it was written, and how many leading bits all share with it."""

    __slots__ = ("family", "length", "number")

    def __init__(self, family: int, number: int, length: int) -> None:
        self.family = family
        self.number = number
        self.length = length

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CidrValue):
            mine, theirs = (self.family, self.number, self.length), (other.family, other.number, other.length)
            return mine == theirs
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.family, self.number, self.length))

    def __str__(self) -> str:
        return f"{IpValue(self.family, self.number)}/{self.length}"

    def covers(self, family: int, number: int) -> bool:
        """Whether an address is in the range."""
        return family == self.family and (number ^ self.number) >> (_BITS[family] - self.length) == 0


name_type(IpValue, "net.IP")
name_type(CidrValue, "net.CIDR")


def _read_address(text: str) -> tuple[int, int] | str:
    """Return family and number, or what is wrong."""
    if "%" in text:
        return "an address with a zone is not allowed"
    if len(text) > _LONGEST or not text.isascii() or "\0" in text:
        return "not an IP address"
    family, constant = (6, socket.AF_INET6) if ":" in text else (4, socket.AF_INET)
    try:
        number = int.from_bytes(socket.inet_pton(constant, text), "big")
    except OSError:
        return "not an IP address"
    if family == 6 and number >> 32 == _MAPPED and "." in text:
        return "an IPv4 address within IPv6 is not allowed: write it as IPv4"
    return family, number


@lru_cache(maxsize=1024)
def _read_cidr(text: str) -> CidrValue | str:
    """Return the range, or what is wrong: both are kept, for ranges are constants mostly."""
    address, slash, length = text.rpartition("/")
    found = _read_address(address)
    if isinstance(found, str):
        return found if slash else "not an address range such as 10.0.0.0/8"
    family, number = found
    if not _PREFIX.fullmatch(length) or int(length) > _BITS[family]:
        return f"the prefix length of an IPv{family} range is 0 to {_BITS[family]}"
    return CidrValue(family, number, int(length))


def ip(value: Any) -> IpValue:
    """Return the address of a text, or the one a range was written with."""
    if type(value) is str:
        found = _read_address(value)
        if isinstance(found, str):
            raise EvaluationError(f"ip: {found}")
        return IpValue(*found)
    if type(value) is CidrValue:
        return IpValue(value.family, value.number)
    raise no_overload("ip", value)


def cidr(text: Any) -> CidrValue:
    """Return the range that a text such as `10.0.0.0/8` names."""
    if type(text) is not str:
        raise no_overload("cidr", text)
    found = _read_cidr(text) if len(text) <= _LONGEST else "not an address range such as 10.0.0.0/8"
    if isinstance(found, str):
        raise EvaluationError(f"cidr: {found}")
    return found


def is_ip(text: Any) -> bool:
    """Whether a text is an address."""
    if type(text) is not str:
        raise no_overload("isIP", text)
    return not isinstance(_read_address(text), str)


def is_cidr(text: Any) -> bool:
    """Whether a text is a range of addresses."""
    if type(text) is not str:
        raise no_overload("isCIDR", text)
    return len(text) <= _LONGEST and not isinstance(_read_cidr(text), str)


def is_canonical(text: Any) -> bool:
    """Whether a text is the usual spelling of its address."""
    if type(text) is not str:
        raise no_overload("ip.isCanonical", text)
    return str(ip(text)) == text


def family(address: Any) -> int:
    """Return 4 or 6."""
    return _address("family", address).family


def is_unspecified(address: Any) -> bool:
    """Whether it is `0.0.0.0` or `::`."""
    return _address("isUnspecified", address).number == 0


def is_loopback(address: Any) -> bool:
    """Whether it is in `127.0.0.0/8`, or `::1`."""
    return _loopback(_address("isLoopback", address))


def is_link_local_multicast(address: Any) -> bool:
    """Whether it is in `224.0.0.0/24`, or a multicast address of link-local scope."""
    one = _address("isLinkLocalMulticast", address)
    if one.family == 4:
        return one.number >> 8 == 0xE00000
    return one.number >> 112 & 0xFF0F == 0xFF02


def is_link_local_unicast(address: Any) -> bool:
    """Whether it is in `169.254.0.0/16` or `fe80::/10`."""
    return _link_local_unicast(_address("isLinkLocalUnicast", address))


def is_global_unicast(address: Any) -> bool:
    """Whether it is one host's beyond its link, private networks included."""
    one = _address("isGlobalUnicast", address)
    if one.number == 0 or _loopback(one) or _link_local_unicast(one):
        return False
    if one.family == 4:
        return one.number != 0xFFFFFFFF and one.number >> 28 != 0xE
    return one.number >> 120 != 0xFF


def contains_ip(block: Any, address: Any) -> bool:
    """Whether an address, or the one a text names, is in the range."""
    if type(block) is CidrValue:
        if type(address) is str:
            found = _read_address(address)
            if isinstance(found, str):
                raise EvaluationError(f"containsIP: {found}")
            return block.covers(*found)
        if type(address) is IpValue:
            return block.covers(address.family, address.number)
    raise no_overload("containsIP", block, address)


def contains_cidr(block: Any, other: Any) -> bool:
    """Whether a range, or the one a text names, is wholly in the range."""
    if type(block) is CidrValue:
        inner = cidr(other) if type(other) is str else other
        if type(inner) is CidrValue:
            return block.length <= inner.length and block.covers(inner.family, inner.number)
    raise no_overload("containsCIDR", block, other)


def masked(block: Any) -> CidrValue:
    """Return the same range, written with its first address."""
    one = _range("masked", block)
    shift = _BITS[one.family] - one.length
    return CidrValue(one.family, one.number >> shift << shift, one.length)


def prefix_length(block: Any) -> int:
    """Return how many leading bits the addresses of a range share."""
    return _range("prefixLength", block).length


def _address(name: str, value: Any) -> IpValue:
    if type(value) is IpValue:
        return value
    raise no_overload(name, value)


def _range(name: str, value: Any) -> CidrValue:
    if type(value) is CidrValue:
        return value
    raise no_overload(name, value)


def _loopback(one: IpValue) -> bool:
    return one.number >> 24 == 127 if one.family == 4 else one.number == 1


def _link_local_unicast(one: IpValue) -> bool:
    return one.number >> 16 == 0xA9FE if one.family == 4 else one.number >> 118 == 0xFE80 >> 6


_IP_TEST: Final = (Signature((IP,), BOOL, method=True),)

FUNCTIONS: Final = (
    Function("ip", ip, (Signature((STRING,), IP), Signature((CIDR,), IP, method=True))),
    Function("cidr", cidr, (Signature((STRING,), CIDR),)),
    Function("isIP", is_ip, (Signature((STRING,), BOOL),)),
    Function("isCIDR", is_cidr, (Signature((STRING,), BOOL),)),
    Function("ip.isCanonical", is_canonical, (Signature((STRING,), BOOL),)),
    Function("family", family, (Signature((IP,), INT, method=True),)),
    Function("isUnspecified", is_unspecified, _IP_TEST),
    Function("isLoopback", is_loopback, _IP_TEST),
    Function("isGlobalUnicast", is_global_unicast, _IP_TEST),
    Function("isLinkLocalMulticast", is_link_local_multicast, _IP_TEST),
    Function("isLinkLocalUnicast", is_link_local_unicast, _IP_TEST),
    Function(
        "containsIP",
        contains_ip,
        (Signature((CIDR, IP), BOOL, method=True), Signature((CIDR, STRING), BOOL, method=True)),
    ),
    Function(
        "containsCIDR",
        contains_cidr,
        (Signature((CIDR, CIDR), BOOL, method=True), Signature((CIDR, STRING), BOOL, method=True)),
    ),
    Function("masked", masked, (Signature((CIDR,), CIDR, method=True),)),
    Function("prefixLength", prefix_length, (Signature((CIDR,), INT, method=True),)),
)
