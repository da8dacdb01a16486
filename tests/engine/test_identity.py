"""Who calls: the key in every place, what a bad one is told, and how often."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from engine.call import Caller
from engine.directory import Directory, digest
from engine.errors import ClientError
from engine.identity import ADDRESSES, PLACES, REFUSALS, Identity, credential

KEY = "sk-one"


@pytest.fixture
def keys():
    """Identity over one key of each kind, at second 1000, which `keys.now` changes."""
    blocked, stopped, expired, ending = (
        Caller(digest(f"sk-{name}")) for name in ("blocked", "stopped", "old", "ending")
    )
    blocked.blocked = True
    stopped.team_blocked, stopped.team = True, "t1"
    expired.expires = 1000.0
    ending.expires = 1000.5

    class Keys(Identity):
        now = 1000.0

        def who(self, key: str | None = KEY, address: str = "::1", header: str = "") -> Caller:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            return self.admit(CIMultiDict(headers), header, address)

        def refused(self, key: str | None, address: str = "::1") -> ClientError:
            with pytest.raises(ClientError) as error:
                self.who(key, address)
            return error.value

    directory = Directory("sk-master", [Caller(digest(KEY)), blocked, stopped, expired, ending])
    made = Keys(directory, lambda: made.now)
    return made


@pytest.mark.parametrize("place", [*PLACES, "X-API-Key", "AUTHORIZATION", "Ocp-Apim-Subscription-Key"])
@pytest.mark.parametrize("written", ["sk-one", "Bearer sk-one", "bearer sk-one", "BEARER sk-one ", "bEaReR  sk-one"])
def test_a_key_is_read_in_every_place_and_with_any_bearer(place, written):
    assert credential(CIMultiDict({place: written})) == KEY


def test_the_configured_header_comes_first_and_the_others_still_count():
    headers = CIMultiDict({"authorization": "Bearer sk-other", "x-company-key": "Bearer sk-one"})
    assert credential(headers, "x-company-key") == KEY
    assert credential(headers) == "sk-other"
    assert credential(CIMultiDict({"api-key": KEY}), "x-company-key") == KEY


def test_litellms_own_header_wins_over_authorization():
    """A client may need `authorization` for a proxy between us."""
    assert credential(CIMultiDict({"authorization": "Bearer x", "x-litellm-api-key": KEY})) == KEY


@pytest.mark.parametrize("headers", [{}, {"cookie": "token=sk-one"}, {"x-other": KEY}, {"authorization": ""}])
def test_no_key_is_no_key(headers):
    assert credential(CIMultiDict(headers)) == ""


def test_a_good_key_is_admitted_and_the_master_key_is_admin(keys):
    assert keys.who().key_hash == digest(KEY)
    assert not keys.who().admin
    assert keys.who("sk-master").admin


@pytest.mark.parametrize(
    ("key", "kind", "says"),
    [
        (None, "auth_error", "no api key passed; send `Authorization: Bearer sk-...`"),
        ("", "auth_error", "no api key passed"),
        ("two", "auth_error", "this is not a key of this gateway; its keys begin with `sk-`"),
        ("sk-two", "token_not_found_in_db", "this key is unknown; check it"),
        ("SK-ONE", "auth_error", "begin with `sk-`"),
        ("sk-one2", "token_not_found_in_db", "unknown"),
        ("sk-blocked", "auth_error", "this key is blocked; ask an administrator"),
        ("sk-stopped", "auth_error", "this team `t1` is blocked"),
        ("sk-old", "expired_key", "this key has expired"),
        ("sk-\udcff", "token_not_found_in_db", "unknown"),
        (digest(KEY), "auth_error", "begin with `sk-`"),
    ],
)
def test_a_bad_key_is_told_why_and_never_repeated(keys, key, kind, says):
    error = keys.refused(key)
    assert (error.status, error.type) == (401, kind)
    assert says in error.message
    if key:
        assert key not in error.message
        assert digest(key)[:16] not in error.message


def test_a_key_expires_at_its_instant(keys):
    assert keys.who("sk-ending")
    keys.now = 1000.5
    assert keys.refused("sk-ending").type == "expired_key"


def test_refusals_of_one_address_are_limited_and_come_back_with_the_next_second(keys):
    told = [keys.refused("sk-no").status for _ in range(REFUSALS + 3)]
    assert told == [401] * REFUSALS + [429] * 3
    error = keys.refused("sk-no")
    assert error.retry_after == 1
    assert "too many refused requests" in error.message
    assert keys.who()
    assert keys.refused("sk-no", "10.0.0.9").status == 401
    keys.now = 1001.0
    assert keys.refused("sk-no").status == 401


def test_counting_refusals_is_bounded(keys):
    for number in range(ADDRESSES + 5):
        keys.refused("sk-no", f"10.{number}")
    assert len(keys._refused) <= ADDRESSES
