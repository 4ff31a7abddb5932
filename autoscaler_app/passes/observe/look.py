"""One look at the world: asked, and put together into one picture. Writes nothing anywhere."""

from __future__ import annotations

from autoscaler_app.passes.control import Control
from autoscaler_app.passes.observe.asking import ask_all
from autoscaler_app.passes.observe.clocks import Clock, only_read
from autoscaler_app.passes.observe.sight import Sight, put_together


def observe(control: Control, clock: Clock | None = None) -> Sight:
    """Look once. If the cloud or the broker does not answer, the look fails as a whole: half a picture would
    make nodes look idle. Raises ProviderError or BrokerError.
    """
    return put_together(ask_all(control, clock or only_read(control)))
