#!/opt/celery-autoscaler/venv/bin/python
"""python check_tasks.py [--wait]: says how the tasks are doing that add_task.py has sent."""

from worker_tasks.cli import check

if __name__ == "__main__":
    check(prog_name="check_tasks.py")
