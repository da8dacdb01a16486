"""A head is taken for the last one only where its bytes say the same, but for the digits of its length."""

import pytest

from engine.template import DIGITS, MISSES, LastHead

HEAD = b"POST /v1/x HTTP/1.1\r\nhost: a\r\nContent-Length: %b\r\nauthorization: Bearer k\r\n\r\n"


def kept(head: bytes = HEAD % b"2" + b"{}") -> LastHead[str]:
    memory: LastHead[str] = LastHead()
    memory.keep(head, "seen")
    return memory


@pytest.mark.parametrize("body", [b"{}", b"{ }", b"x" * 12_345])
def test_another_length_is_the_same_head(body):
    data = HEAD % str(len(body)).encode() + body
    found = kept().again(memoryview(data))
    assert found is not None
    assert (found[0], data[found[1] :]) == ("seen", body)


@pytest.mark.parametrize(
    "data",
    [
        HEAD % b"3" + b"{}",
        HEAD % b"1" + b"{}",
        HEAD % b"2" + b"{}" + HEAD % b"2" + b"{}",
        HEAD % b"+2" + b"{}",
        HEAD % b"" + b"",
        HEAD % b"0x2" + b"{}",
        HEAD % "²".encode() + b"{}",
        HEAD % b"2 " + b"{}",
        HEAD % (b"0" * DIGITS + b"2") + b"{}",
        HEAD % b"2\r\nTransfer-Encoding: chunked" + b"{}",
        (HEAD % b"2").replace(b"Bearer k", b"Bearer j") + b"{}",
        (HEAD % b"2").replace(b"/v1/x", b"/v1/y") + b"{}",
        (HEAD % b"2")[:-2] + b"x-more: 1\r\n\r\n{}",
        HEAD % b"2" + b"{",
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(data):
    assert kept().again(data) is None


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"POST / HTTP/1.1\r\ncontent-length: 2\r\nx: " + b"y" * 5_000 + b"\r\n\r\n{}",
    ],
)
def test_what_does_not_tell_its_length_once_is_not_kept(head):
    assert kept(head).again(head) is None


def test_heads_that_keep_differing_are_no_longer_compared():
    memory = kept()
    for number in range(MISSES):
        other = (HEAD % b"2").replace(b"Bearer k", b"Bearer %d" % number) + b"{}"
        assert memory.again(other) is None
        memory.keep(other, "seen")
    assert memory.again(other) is None
