#!/opt/celery-autoscaler/venv/bin/python
"""python add_task.py [--count N] [--kind small|wide|roomy|alone|mixed] [--seconds 2]: adds tasks."""

from worker_tasks.cli import add

if __name__ == "__main__":
    add(prog_name="add_task.py")
