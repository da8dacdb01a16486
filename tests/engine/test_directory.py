"""Keys by their hashes."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from engine.call import Caller
from engine.directory import Directory, digest, masked


def test_keys_are_found_by_what_a_client_sends():
    one, two = Caller(digest("sk-1")), Caller(digest("sk-2"))
    directory = Directory(None, [one, two])
    assert directory.find("sk-1") is one
    assert directory.find("sk-2") is two
    assert directory.find("sk-3") is None
    assert directory.find("") is None
    assert directory.find(digest("sk-1")) is None
    assert len(directory) == 2
    assert not directory.guarded


def test_the_master_key_is_an_administrator_and_stands_before_a_key_of_the_same_text():
    directory = Directory("sk-m", [Caller(digest("sk-m"))])
    master = directory.find("sk-m")
    assert master is not None
    assert (master.admin, master.alias, master.user) == (True, "master key", "default_user_id")
    assert directory.guarded


def test_no_clear_key_is_kept():
    directory = Directory("sk-master-secret", [Caller(digest("sk-secret"))])
    kept = repr(vars(directory)) + repr([(c.key_hash, c.alias, c.masked) for c in directory._callers.values()])
    assert "secret" not in kept
    assert masked("sk-12345678") == "sk-...5678"


@given(st.text(st.characters(), max_size=40))
def test_any_text_has_a_hash(key):
    """Header values hold surrogates for bytes that are no UTF-8."""
    assert digest(key) == hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
