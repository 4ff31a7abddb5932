"""When the autoscaler makes a pass. `celery -A autoscaler_app beat` reads this through `celeryconfig.py`."""

import os

from autoscaler_app.schedule import every

beat_schedule = every(seconds=os.environ.get("AUTOSCALER_INTERVAL", "15"))
