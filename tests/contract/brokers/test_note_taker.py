"""The control worker's hand for notes, on each kind of broker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery import Celery

from autoscaler_app.brokers import open_broker
from autoscaler_app.worker.note_taker import NoteTaker
from celery_resources.sending.notes import send_note

MakeApp = Callable[..., Celery]
WaitUntil = Callable[..., object]


def waiting(app: Celery) -> int:
    return open_broker(app).depths(["autoscale.notes"])["autoscale.notes"].waiting


def test_notes_are_taken_by_whoever_is_in_charge_and_by_nobody_else(
    url: str, make_app: MakeApp, wait_until: WaitUntil
) -> None:
    app = make_app(url)
    taken: list[bytes] = []
    in_charge = False
    taker = NoteTaker(app, "autoscale", taken.extend, lambda: "" if in_charge else "another one acts")
    taker.start()
    try:
        send_note(app, "autoscale", kind="one")
        wait_until(lambda: waiting(app) == 1)
        assert taken == []
        in_charge = True
        wait_until(lambda: taken == [b'{"kind":"one"}'])
        in_charge = False
    finally:
        taker.stop()


def test_what_could_not_be_remembered_is_taken_again(
    url: str, make_app: MakeApp, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(url)
    tries: list[list[bytes]] = []

    def take(bodies: list[bytes]) -> None:
        tries.append(bodies)
        if len(tries) == 1:
            raise OSError("disk full")

    taker = NoteTaker(app, "autoscale", take)
    taker.start()
    try:
        send_note(app, "autoscale", kind="one")
        wait_until(lambda: len(tries) == 2)
    finally:
        taker.stop()
    assert tries == [[b'{"kind":"one"}']] * 2
    assert "taking notes failed" in caplog.text
