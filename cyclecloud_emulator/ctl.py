"""`python -m cyclecloud_emulator ctl`: drive an emulator that runs, through its admin endpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import httpx

from cyclecloud_emulator.trouble.faults import FaultKind
from cyclecloud_emulator.trouble.lies import LieKind
from cyclecloud_emulator.trouble.mishaps import MishapKind

_FAULTS = click.Choice([kind.value for kind in FaultKind])
_TIMEOUT_SECONDS = 10.0


class _Remote:
    """The admin endpoint of an emulator."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url.rstrip("/")
        self._auth = (user, password)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One call; an answer that is an error ends the command."""
        address = f"{self._url}/emulator/{path}"
        try:
            answer = httpx.request(method, address, json=body, auth=self._auth, timeout=_TIMEOUT_SECONDS)
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise click.ClickException(f"no emulator answers at {self._url}: {error}") from error
        if not answer.is_success:
            raise click.ClickException(f"{method} {address}: {answer.status_code}: {_message(answer)}")
        return answer.json()


def _message(answer: httpx.Response) -> str:
    try:
        value = answer.json()
        return " ".join(filter(None, (value["Message"], value["Detail"])))
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _show(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _given(**values: object) -> dict[str, object]:
    """The options that were given."""
    return {name: value for name, value in values.items() if value is not None}


pass_remote = click.make_pass_decorator(_Remote)


@click.group()
@click.option(
    "--url", envvar="CYCLECLOUD_URL", default="http://127.0.0.1:8081", show_default=True, help="Where it is."
)
@click.option(
    "--user", envvar="CYCLECLOUD_USERNAME", default="emulator", show_default=True, help="User name."
)
@click.option(
    "--password-env",
    default="CYCLECLOUD_PASSWORD",
    show_default=True,
    help="Variable that holds the password.",
)
@click.option("--password-file", type=click.Path(path_type=Path), help="File that holds it.")
@click.pass_context
def ctl(context: click.Context, url: str, user: str, password_env: str, password_file: Path | None) -> None:
    """Drive an emulator that runs: look, break, repair. Answers are JSON."""
    password = os.environ.get(password_env, "")
    if not password and password_file is not None:
        try:
            password = password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise click.ClickException(f"--password-file {password_file}: {error.strerror}") from error
    if not password:
        raise click.ClickException(f"no password: set {password_env} or give --password-file")
    context.obj = _Remote(url, user, password)


@ctl.command()
@pass_remote
def state(remote: _Remote) -> None:
    """Clusters, nodes, and how many rules are in force."""
    _show(remote.ask("GET", "state"))


@ctl.command()
@pass_remote
def ledger(remote: _Remote) -> None:
    """Machines, node-seconds and money."""
    _show(remote.ask("GET", "ledger"))


@ctl.command()
@click.option("--clear", is_flag=True, help="Forget them.")
@pass_remote
def calls(remote: _Remote, clear: bool) -> None:
    """What clients asked."""
    _show(remote.ask("DELETE" if clear else "GET", "calls"))


@ctl.command()
@click.argument("kind", type=_FAULTS)
@click.option("--method", help="Of which calls: GET or POST.  [default: both]")
@click.option("--path", help="Of which calls: regular expression in the path.  [default: all]")
@click.option("--skip", type=int, help="Let so many calls through first.")
@click.option("--times", type=int, help="Strike so often.  [default: until removed]")
@click.option("--chance", type=float, help="Between 0 and 1.")
@click.option("--seconds", type=float, help="How long, for slow and hang.")
@click.option("--status", type=int, help="Which, for status.")
@click.option("--body", help="Which, for status.")
@click.option("--retry-after", type=int, help="Retry-After header, for status.")
@click.option("--lie", type=click.Choice([kind.value for kind in LieKind]), help="Which, for lie.")
@click.option("--added", type=int, help="How many, for fewer.")
@pass_remote
def fault(remote: _Remote, /, **options: object) -> None:
    """Let answers go wrong."""
    _show(remote.ask("POST", "faults", _given(**options)))


@ctl.command()
@click.option("--clear", is_flag=True, help="Remove them.")
@pass_remote
def faults(remote: _Remote, clear: bool) -> None:
    """Faults that are in force."""
    _show(remote.ask("DELETE" if clear else "GET", "faults"))


@ctl.command()
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--rate", type=float, default=0.1, show_default=True, help="Share of calls that go wrong.")
@click.option("--kind", "kinds", type=_FAULTS, multiple=True, help="Which faults; may be repeated.")
@click.option("--path", help="Regular expression in the path.")
@pass_remote
def schedule(remote: _Remote, seed: int, rate: float, kinds: tuple[str, ...], path: str | None) -> None:
    """Let answers go wrong at random, the same for the same seed."""
    _show(remote.ask("POST", "schedule", _given(seed=seed, rate=rate, kinds=list(kinds) or None, path=path)))


@ctl.command()
@click.argument("kind", type=click.Choice([kind.value for kind in MishapKind]))
@click.option("--nodearray", help="Only nodes of this nodearray.")
@click.option("--vm-size", help="Only nodes of this size.")
@click.option("--zone", help="Only nodes in this zone.")
@click.option("--spot/--regular", default=None, help="Only spot machines, or only others.")
@click.option("--skip", type=int, help="Let so many nodes through first.")
@click.option("--times", type=int, help="Strike so often.  [default: until removed]")
@click.option("--chance", type=float, help="Between 0 and 1.")
@pass_remote
def mishap(remote: _Remote, /, **options: object) -> None:
    """Let nodes that start meet with an accident."""
    _show(remote.ask("POST", "mishaps", _given(**options)))


@ctl.command()
@click.option("--clear", is_flag=True, help="Remove them.")
@pass_remote
def mishaps(remote: _Remote, clear: bool) -> None:
    """Mishaps that are in force."""
    _show(remote.ask("DELETE" if clear else "GET", "mishaps"))


@ctl.command()
@click.argument("node")
@click.argument(
    "action", type=click.Choice(["kill-worker", "evict", "fail", "vanish", "keep-alive", "no-keep-alive"])
)
@click.option("--notice", type=float, help="Seconds between the notice and the eviction.")
@click.option("--message", help="Why it failed.")
@pass_remote
def node(remote: _Remote, /, **options: object) -> None:
    """Do something to NODE (NodeId, name or host name)."""
    _show(remote.ask("POST", "nodes", _given(**options)))


@ctl.command()
@click.argument("name")
@click.argument("action", type=click.Choice(["start", "stop"]))
@pass_remote
def cluster(remote: _Remote, name: str, action: str) -> None:
    """Start or stop a cluster."""
    _show(remote.ask("POST", f"clusters/{name}", {"started": action == "start"}))


@ctl.command()
@pass_remote
def settings(remote: _Remote) -> None:
    """The settings in force."""
    _show(remote.ask("GET", "settings"))


@ctl.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE...")
@pass_remote
def set_(remote: _Remote, changes: tuple[str, ...]) -> None:
    """Change settings, such as quirks.over_ask=none or families.standardFSv2Family.cores=12."""
    merged: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise click.UsageError(f"{change!r}: not NAME=VALUE, such as spot.cores=10")
        *parents, last = name.split(".")
        place = merged
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = _value(text)
    _show(remote.ask("PATCH", "settings", merged))


def _value(text: str) -> object:
    """JSON if it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@ctl.command()
@click.argument("seconds", type=float)
@pass_remote
def skew(remote: _Remote, seconds: float) -> None:
    """Let the server's clock be wrong by SECONDS."""
    _show(remote.ask("POST", "skew", {"seconds": seconds}))


@ctl.command()
@click.option("--memory", type=click.Choice(["all", "nodes", "nothing"]), default="all", show_default=True)
@click.option("--down-seconds", type=float, default=0.0, show_default=True)
@pass_remote
def restart(remote: _Remote, memory: str, down_seconds: float) -> None:
    """Let the server go down and come back, with or without what it knew."""
    _show(remote.ask("POST", "restart", {"memory": memory, "down_seconds": down_seconds}))


@ctl.command()
@pass_remote
def unlock(remote: _Remote) -> None:
    """Forget bad passwords. Works while the account is not locked yet."""
    _show(remote.ask("POST", "unlock"))
