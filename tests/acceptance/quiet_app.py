"""The Celery app of `worker_tasks` with its task events switched off. Emulated nodes run it in tests."""

from __future__ import annotations

from worker_tasks.celery import app

app.conf.update(worker_send_task_events=False, task_send_sent_event=False)
