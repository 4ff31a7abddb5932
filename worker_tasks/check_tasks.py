"""`python -m worker_tasks.check_tasks`: the same as `python -m worker_tasks check`."""

from worker_tasks.cli import check

if __name__ == "__main__":
    check(prog_name="python -m worker_tasks.check_tasks")
