"""`python -m worker_tasks add` and `python -m worker_tasks check`."""

from worker_tasks.cli import main

if __name__ == "__main__":
    main(prog_name="python -m worker_tasks")
