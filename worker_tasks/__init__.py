"""The Celery app that compute nodes run in the demo and in the cluster template."""

from worker_tasks.celery import app

__all__ = ["app"]
