"""Pages, JSON, metrics and a health check over the state file. Needs the extra `web`.

Everything here reads, and writes nothing: so it can be started, stopped and killed at any time, on the broker
node, beside the control worker.
"""

from autoscaler_app.web.app import create_app
from autoscaler_app.web.hands.passwords import PASSWORD_VARIABLE
from autoscaler_app.web.remembered import StateFile
from autoscaler_app.web.server import PORT, serve

__all__ = ["PASSWORD_VARIABLE", "PORT", "StateFile", "create_app", "serve"]
