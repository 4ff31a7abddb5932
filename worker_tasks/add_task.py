"""`python -m worker_tasks.add_task`: the same as `python -m worker_tasks add`."""

from worker_tasks.cli import add

if __name__ == "__main__":
    add(prog_name="python -m worker_tasks.add_task")
