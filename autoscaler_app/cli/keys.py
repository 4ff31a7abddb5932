"""The commands about keys: which is whose, and letting a host have another one."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from autoscaler_app import settings as settings_module
from autoscaler_app.cli.tables import table
from autoscaler_app.listening.trust.opening import own_key
from autoscaler_app.memory.state import State
from scalelib.errors import InvalidInput
from scalelib.hostnames import short_name

FORGOTTEN = "keys_forgotten"
"""Name of the fact that holds who was made to forget which key, newest last."""
MOST_FORGOTTEN = 50


def facts() -> dict[str, Any]:
    """What `keys` shows. Raises InvalidConfig where signing is off, or our own key cannot be used."""
    settings = settings_module.load()
    control = own_key(settings).public if settings.autoscaler.signing else None
    with closing(State.look(settings.state_file)) as state:
        bindings = sorted(state.key_bindings().values(), key=lambda binding: binding.hostname)
        forgotten = state.fact(FORGOTTEN) or []
    return {
        "signing": settings.autoscaler.signing,
        "control": control,
        "hosts": [
            {"host": each.hostname, "node": each.node_id, "key": each.key, "since": each.bound.isoformat()}
            for each in bindings
        ],
        "forgotten": forgotten,
    }


def text(facts: dict[str, Any]) -> str:
    """The same for people."""
    if not facts["signing"]:
        return "signing is off (autoscaler.signing in autoscale.json): whoever speaks is believed"
    hosts = [(each["host"], each["key"], each["since"]) for each in facts["hosts"]]
    lines = [f"control side  {facts['control']}", "", table(("HOST", "KEY", "SINCE"), hosts)]
    lines += [
        f"{each['at']}  {each['host']} forgot {each['key']}: {each['reason']}" for each in facts["forgotten"]
    ]
    return "\n".join(lines)


def forget(host: str, reason: str) -> str:
    """Forget the key of a host, for this reason. Raises InvalidInput for a host without a key."""
    settings = settings_module.load()
    name, reason = short_name(host), " ".join(reason.split())
    if not reason:
        raise InvalidInput(
            "--reason is empty; say why another key is to be believed in the name of this host"
        )
    with closing(State(settings.state_file)) as state:
        bindings = list(state.key_bindings().values())
        found = [each for each in bindings if name == short_name(each.hostname)]
        if not found:
            known = ", ".join(sorted(each.hostname for each in bindings)) or "none has one"
            raise InvalidInput(f"{host!r} has no key; hosts that have one: {known}")
        at = datetime.now(UTC).isoformat()
        said = [{"at": at, "host": each.hostname, "key": each.key, "reason": reason} for each in found]
        state.change(FORGOTTEN, lambda before: [*(before or []), *said][-MOST_FORGOTTEN:])
        for each in found:
            state.unbind_key(each.node_id)
    return f"{host}: its key is forgotten; the next pass binds the one that speaks then"
