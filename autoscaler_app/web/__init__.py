"""A read-only page, JSON, metrics and a health check over the journal. Needs the extra `web`.

Everything here reads reports and nothing else: no broker, no cloud, no write. So it can be started, stopped
and killed at any time, on the broker node, beside the control worker.
"""

from autoscaler_app.web.app import create_app
from autoscaler_app.web.server import PASSWORD_VARIABLE, PORT, serve

__all__ = ["PASSWORD_VARIABLE", "PORT", "create_app", "serve"]
