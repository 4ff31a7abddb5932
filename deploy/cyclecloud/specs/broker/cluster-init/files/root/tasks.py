"""`celery -A tasks worker`: the app whose tasks add_task.py adds. Nodes run it by themselves."""

from worker_tasks import app

__all__ = ["app"]
