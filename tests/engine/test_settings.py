"""Settings are read name by name; what is wrong is named, what is secret is not, and what nobody reads is refused."""

from __future__ import annotations

import re

import pytest

from engine.settings import Settings

SECRET = "sk-0123456789"


def test_what_is_written_comes_before_the_environment_and_that_before_the_default():
    environ = {"SECOND": "second", "THIRD": "third", "EMPTY": ""}
    assert Settings({"a": "written"}, environ).text("a", "SECOND", default="d") == "written"
    assert Settings({"a": None}, environ).text("a", "EMPTY", "SECOND", "THIRD", default="d") == "second"
    assert Settings({}, environ).text("a", "EMPTY", default="d") == "d"
    assert Settings({"a": 7}, environ).text("a") == "7"


@pytest.mark.parametrize(
    ("read", "value", "said"),
    [
        (lambda it: it.text("a"), "", "a: write a text, not an empty one"),
        (lambda it: it.text("a"), True, "a: write a text, not true or false"),
        (lambda it: it.text("a"), {SECRET: SECRET}, "a: write a text, not names with values"),
        (lambda it: it.text("a"), [SECRET], "a: write a text, not a list"),
        (lambda it: it.texts("a"), {"b": {}}, "a.b: write a text, not names with values"),
        (lambda it: it.flag("a", default=True), "yes", "a: write true or false, not a text"),
        (lambda it: it.number("a", 1, 7), SECRET, "a: write a number, not a text"),
        (lambda it: it.number("a", 1, 7), True, "a: write a number, not true or false"),
        (lambda it: it.number("a", 1, 7), float("nan"), "a: write a number from 0 to 7"),
        (lambda it: it.number("a", 1, 7), 7.5, "a: write a number from 0 to 7"),
        (lambda it: it.number("a", 1, 7), -1, "a: write a number from 0 to 7"),
        (lambda it: it.numbers("a", 1), {"b": 2}, "a.b: write a number from 0 to 1"),
        (lambda it: it.mapping("a"), [SECRET], "a: write names with a value each, not a list"),
        (lambda it: it.mapping("a"), {1: 2}, "a: every name must be a text"),
        (lambda it: it.names("a"), SECRET, "a: write a list of texts, not a text"),
        (lambda it: it.names("a"), [1], "a: write a list of texts, not a list"),
        (lambda it: it.needed("a", "X"), None, "a: set it, or X in the environment"),
        (lambda it: it.base("X", names=("a",)), None, "a: set it, or X in the environment"),
        (lambda it: it.base(names=("a",)), f"http://user:{SECRET}@host", "a: put credentials into `api_key`"),
        (lambda it: it.base("HOME", names=("a",)), None, "a of the environment: "),
    ],
)
def test_what_is_wrong_is_named_and_not_quoted(read, value, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}") as error:
        read(Settings({"a": value}, {"HOME": "ftp://host"}))
    assert SECRET not in str(error.value)


def test_defaults_where_nothing_is_written():
    it = Settings({}, {})
    assert (it.flag("a", default=True), it.number("b", 3, 7), it.names("c", ("x",))) == (True, 3, ["x"])
    assert (it.mapping("d"), it.texts("e"), it.numbers("f", 1), it.anything("g")) == ({}, {}, {}, None)


@pytest.mark.parametrize(
    ("written", "environ", "base", "key"),
    [
        ({}, {}, "https://own.example/v1", ""),
        ({}, {"KEY": SECRET}, "https://own.example/v1", SECRET),
        ({"api_base": "https://own.example/other"}, {"KEY": SECRET}, "https://own.example/other", SECRET),
        ({"api_base": "http://own.example/v1"}, {"KEY": SECRET}, "http://own.example/v1", ""),
        ({"api_base": "https://own.example:8443"}, {"KEY": SECRET}, "https://own.example:8443", ""),
        ({"api_base": "https://own.example.evil"}, {"KEY": SECRET}, "https://own.example.evil", ""),
        ({"url": "https://evil"}, {"KEY": SECRET}, "https://evil", ""),
        ({"api_base": "https://evil", "api_key": "k"}, {"KEY": SECRET}, "https://evil", "k"),
        ({}, {"KEY": SECRET, "BASE": "http://mine:1/x"}, "http://mine:1/x", SECRET),
        ({"api_base": "http://mine:1/y"}, {"KEY": SECRET, "BASE": "http://mine:1/x"}, "http://mine:1/y", SECRET),
        ({"api_base": "http://mine:2"}, {"KEY": SECRET, "BASE": "http://mine:1/x"}, "http://mine:2", ""),
        ({"api_base": "https://own.example", "allow_link_local": True}, {"KEY": SECRET}, "https://own.example", SECRET),
    ],
)
def test_the_environments_key_is_shown_to_its_own_server_alone(written, environ, base, key):
    it = Settings(written, environ)
    found = it.base("BASE", default="https://own.example/v1")
    assert f"{found.origin.scheme}://{found.host}{found.path}" == base
    assert it.key(found, "KEY") == key
    it.end()


def test_an_address_of_the_link_is_for_those_who_say_so():
    url = "http://169.254.169.254"
    assert not Settings({"api_base": url}, {}).base().origin.allow_link_local
    assert Settings({"api_base": url, "allow_link_local": True}, {}).base().origin.allow_link_local


def test_a_key_that_no_header_can_hold_is_refused_unsaid():
    for key in (f"{SECRET}\r\nx: y", f"{SECRET} ", "schlüssel"):
        it = Settings({"api_key": key, "api_base": "http://h"}, {})
        with pytest.raises(ValueError, match=r"^api_key: it holds characters that no header can$"):
            it.key(it.base())


def test_what_nobody_reads_is_refused():
    it = Settings({"project_id": "x", "projct": "y", "timeout": 2, "type": "lakera"}, {})
    it.text("project_id")
    with pytest.raises(ValueError, match=r"^projct: unknown; did you mean `project_id`\?$"):
        it.end()
    it = Settings({"zzz": SECRET}, {})
    it.text("project_id")
    with pytest.raises(ValueError, match=r"^zzz: unknown; known are `project_id`$"):
        it.end()
    Settings({"zzz": None, "timeout": 2}, {}).end()
