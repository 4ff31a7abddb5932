"""Reading `autoscale.json`: the keys that users of scalelib know, and a clear error for every other one."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Collection, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from scalelib.amounts import shown
from scalelib.errors import InvalidConfig
from scalelib.policy import Policy
from scalelib.spelling import nearest

PASSWORD_VARIABLE: Final = "CYCLECLOUD_PASSWORD"
"""Environment variable that holds the password; it comes before the file."""

_log = logging.getLogger(__name__)

GROUP: Final = "scalelib.providers"
"""Entry points that make a provider of a configuration; their modules may declare `KEYS` of their own."""

KEYS: Final[Mapping[str, str]] = {
    "cluster_name": "the cluster's name in CycleCloud",
    "url": "where CycleCloud answers, as https://cyclecloud.example.com",
    "username": "the user to log in as",
    "password": f"better in ${PASSWORD_VARIABLE} or `password_file`; here only if nobody else can read it",
    "password_file": "file that holds the password, relative to this one; readable by its owner only",
    "verify_certificates": "whether to check the server's certificate; true unless set",
    "provider": "name of the entry point in scalelib.providers; `cyclecloud` unless set",
    "logging": "settings for Python's logging",
    "lock_file": "file that is locked during a pass",
    "read_only": "true: look and plan, change nothing",
    "nodehistorydb": "SQLite file of the node history",
    "include": "files to read as well, relative to this one; what they say wins",
    "default_resources": "how capabilities of machines become resources (see docs/constraints.md)",
    "disable_default_resources": "true: without the built-in ones",
    "idle_timeout": "seconds until an idle node may go, or {default, <nodearray>: seconds}; 300 unless set",
    "boot_timeout": "seconds until a node must be ready, in the same forms; 1800 unless set",
    "nodearrays": "per nodearray or `default`: placement_groups, max_placement_groups, reserved",
    "valid_hostnames": "patterns of host names that nodes may have",
    "assume_standalone_hostnames": "true: host names are ip- and the address in hexadecimal",
    "output-columns": "columns to print, per command or `default`",
    "cost": "kept for compatibility; prices are in `prices`",
    "prices": "money per hour by <vm_size> and <vm_size>/spot",
    "priorities": "priority by nodearray, in place of the cloud's",
    "expander": "least-cost, least-waste, most-available or priority",
    "solver": "false: only the greedy packer decides",
    "solver_seconds": "budget of the solver in one pass; 2 unless set",
    "warm_pool": "slots to keep ready: minimum, buffer, constraints, timetable",
    "autoscaler": "settings of the Celery side",
}
"""Every key with what it means, those of the provider apart."""


def provider_entry(config: Mapping[str, Any]) -> EntryPoint:
    """The entry point of the provider that is set, or of `cyclecloud`; InvalidConfig if there is none."""
    name = config.get("provider", "cyclecloud")
    found = {each.name: each for each in entry_points(group=GROUP)}
    if not isinstance(name, str) or name not in found:
        raise InvalidConfig(f"provider: {shown(name)} is not installed: there are {', '.join(sorted(found))}")
    return found[name]


def keys_of_provider(config: Mapping[str, Any]) -> Mapping[str, str]:
    """The keys that the provider reads besides `KEYS`, each with what it means: `KEYS` of its module."""
    if "provider" not in config and not entry_points(group=GROUP):
        return {}  # the engine by itself
    keys: Mapping[str, str] = getattr(import_module(provider_entry(config).module), "KEYS", {})
    return keys


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The configuration in a file, with its includes. Raises InvalidConfig naming file, line, key and remedy.

    The keys are those of `KEYS` and of the provider that the configuration names. Also reads everything that
    is the planner's once, so that a mistake shows at the start. The password is put in from the environment
    or from `password_file`. Sections of other programs are left out (`others`).
    """
    path = Path(path)
    config, places, sections = _own(path)
    for key in sections:
        _log.info("%s: the section %r is none of ours and is left alone", places[key], key)
    try:
        Policy.from_config(config)
        _check_texts(config)
    except InvalidConfig as error:
        raise InvalidConfig(f"{path}: {error}") from error
    password = _password(config, path)
    if password is not None:
        config["password"] = password
    return config


def places(path: str | os.PathLike[str]) -> dict[str, str]:
    """Where each key of a configuration stands, as `file: line 3`. Raises InvalidConfig as `load` does."""
    found: dict[str, str] = {}
    _load(Path(path), (), found)
    return found


def others(path: str | os.PathLike[str]) -> list[str]:
    """The sections that are none of ours, by key: schedulers share one file. InvalidConfig as of `load`."""
    return _own(Path(path))[2]


def _own(path: Path) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """What is ours, where each key stands, and the sections that are not. InvalidConfig for unknown keys."""
    places: dict[str, str] = {}
    config = _load(path, (), places)
    try:
        known = {**KEYS, **keys_of_provider(config)}
    except InvalidConfig as error:
        raise InvalidConfig(f"{path}: {error}") from error
    sections = [key for key, value in config.items() if isinstance(value, dict) and _is_anothers(key, known)]
    _check_keys({key: place for key, place in places.items() if key not in sections}, known)
    return {key: value for key, value in config.items() if key not in sections}, places, sections


def _is_anothers(section: str, known: Collection[str]) -> bool:
    """A section whose name is not even close to one of ours: a mistyped one is to be found."""
    return section not in known and nearest(section, known) is None


def _load(path: Path, including: tuple[Path, ...], places: dict[str, str]) -> dict[str, Any]:
    """The content of a file; where each key stands is added to `places`."""
    real = path.resolve()
    if real in including:
        chain = " -> ".join(str(each) for each in (*including, real))
        raise InvalidConfig(f"{path}: include: the files include each other: {chain}: take one out")
    text = _text(path)
    config = _parsed(path, text)
    for key in config:
        places.setdefault(key, f"{path}: line {_line(text, key)}")
    if config.get("password") is not None:
        _refuse_if_public(path, "holds a password")
    included = config.pop("include", [])
    included = [included] if isinstance(included, str) else included
    if not isinstance(included, list) or not all(isinstance(each, str) for each in included):
        raise InvalidConfig(
            f"{path}: line {_line(text, 'include')}: include: {shown(included)} is no list of files"
        )
    for name in included:
        try:
            more = _load(path.parent / name, (*including, real), places)
        except InvalidConfig as error:
            raise InvalidConfig(f"{path}: include: {error}") from error
        config = _merged(config, more)
    return config


def _check_keys(places: Mapping[str, str], known: Collection[str]) -> None:
    for key, place in places.items():
        if key not in known:
            meant = nearest(key, known)
            hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(sorted(known))}"
            raise InvalidConfig(f"{place}: unknown key {key!r}: {hint}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                line = _line(text, key, last=True)
                raise InvalidConfig(f"{path}: line {line}: the key {key!r} is there twice: keep one")
            found[key] = value
        return found

    def no_constant(word: str) -> Any:
        raise InvalidConfig(f"{path}: line {_line(text, word, quoted=False)}: {word} is no JSON number")

    try:
        config = json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise InvalidConfig(
            f"{path}: line {error.lineno}, column {error.colno}: no valid JSON: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidConfig):
            raise
        raise InvalidConfig(f"{path}: no valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise InvalidConfig(f"{path}: line 1: {shown(config)} is no object: write {{...}}")
    return config


def _line(text: str, word: str, *, last: bool = False, quoted: bool = True) -> int:
    """The line of a key, as well as it can be told."""
    wanted = json.dumps(word) if quoted else word
    at = text.rfind(wanted) if last else text.find(wanted)
    return text.count("\n", 0, max(at, 0)) + 1


def _merged(left: Any, right: Any) -> Any:
    """Dictionaries are merged, lists united; of anything else the right one wins."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {
            **left,
            **{key: _merged(left[key], each) if key in left else each for key, each in right.items()},
        }
    if isinstance(left, list) and isinstance(right, list):
        return left + [each for each in right if each not in left]
    return right


def _check_texts(config: Mapping[str, object]) -> None:
    texts = ("cluster_name", "url", "username", "password", "password_file", "provider", "nodehistorydb")
    for key in texts:
        value = config.get(key)
        if value is not None and not isinstance(value, str):
            what = "the value" if key == "password" else shown(value)
            raise InvalidConfig(f"{key}: {what} is no text")
    for key in ("verify_certificates", "read_only", "assume_standalone_hostnames"):
        value = config.get(key)
        if value is not None and not isinstance(value, bool):
            raise InvalidConfig(f"{key}: {shown(value)} is neither true nor false")
    value = config.get("autoscaler", {})
    if not isinstance(value, dict):
        raise InvalidConfig(f"autoscaler: {shown(value)} is no object: write {{...}}")


def _password(config: Mapping[str, Any], path: Path) -> str | None:
    """From the environment, else from its own file, else from the configuration."""
    if (value := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return value
    named = config.get("password_file")
    if named is None:
        return None
    file = path.parent / named
    _refuse_if_public(file, "is the password file")
    lines = _text(file).splitlines()
    if len(lines) != 1 or not lines[0]:
        raise InvalidConfig(
            f"{file}: has {len(lines)} lines: write the password on one line, and nothing else"
        )
    return lines[0]


def _refuse_if_public(path: Path, why: str) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror or error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidConfig(
            f"{path}: {why} and others may read it (mode {stat.filemode(mode)}): chmod 600 {path}"
        )
