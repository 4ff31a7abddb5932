"""Basic authentication, with the lock that the product documents."""

import base64

import pytest

from cyclecloud_emulator.errors import Unauthorised
from cyclecloud_emulator.http.auth import Gate


def header(user="emulator", password="right"):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def passes(gate, value, now=0.0, *, lock=True):
    try:
        gate.check(value, now, lock=lock)
    except Unauthorised:
        return False
    return True


@pytest.mark.parametrize(
    "value",
    [None, "", "Bearer x", "Basic", "Basic !!!", "Basic \xe9",
     "Basic " + base64.b64encode(b"no colon").decode(), "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
     header(user="other"), header(password="wrong")],
)  # fmt: skip
def test_whoever_does_not_know_both_is_refused(value):
    assert not passes(Gate("emulator", "right"), value)


def test_a_password_may_hold_colons():
    assert passes(Gate("u", "a:b"), header("u", "a:b"))


def test_five_bad_passwords_in_a_row_lock_for_five_minutes():
    gate = Gate("emulator", "right")
    for now in range(5):
        assert not passes(gate, header(password="wrong"), now)
    assert not passes(gate, header(), 5)
    assert not passes(gate, header(), 4 + 299)
    assert passes(gate, header(), 4 + 300)


def test_a_minute_without_a_bad_password_begins_the_count_anew():
    gate = Gate("emulator", "right")
    for attempt in range(20):
        assert not passes(gate, header(password="wrong"), attempt * 61.0)
    assert passes(gate, header(), 20 * 61)


def test_a_good_password_begins_the_count_anew():
    gate = Gate("emulator", "right")
    for _ in range(3):
        for _ in range(4):
            assert not passes(gate, header(password="wrong"))
        assert passes(gate, header())


def test_the_lock_can_be_switched_off_and_taken_away():
    gate = Gate("emulator", "right")
    for _ in range(9):
        assert not passes(gate, header(password="wrong"), lock=False)
    assert passes(gate, header())
    for _ in range(5):
        assert not passes(gate, header(password="wrong"))
    assert not passes(gate, header())
    gate.unlock()
    assert passes(gate, header())
