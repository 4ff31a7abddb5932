"""When a pass is asked for: `celery -A autoscaler_app beat`.

By default the schedule is that of `beat_schedule.py` and last runs are kept in a file (`FileScheduler`). With
`--scheduler autoscaler_app.beat:DatabaseScheduler` it is kept in a database, where it is edited while beat
runs; this needs the extra `django`.
"""

from __future__ import annotations

import sys
from typing import Any

from autoscaler_app.beat.clock import FileScheduler
from autoscaler_app.exits import EX_CONFIG
from scalelib.errors import ScalelibError

__all__ = ["DatabaseScheduler", "FileScheduler"]

_is_being_made = _is_to_end = False


def DatabaseScheduler(app: Any, **options: Any) -> Any:
    """The scheduler on a database, which is set up if need be. Ends the process if it cannot be used.

    A function and not a class: its class can be imported only when Django is configured, and Celery looks
    schedulers up by name long before.
    """
    global _is_being_made, _is_to_end
    if _is_being_made:
        # Told to end meanwhile. To save the schedule Celery's handler wants another one, which would wait for
        # ever for a connection that this very thread is using, below here. There is nothing to save yet.
        _is_to_end = True
        raise SystemExit
    _is_being_made = True
    try:
        from autoscaler_app.beat import django_setup

        database = django_setup.prepare(app.conf)
        from autoscaler_app.beat.scheduler import DatabaseScheduler as Scheduler

        with django_setup.translated(database):
            scheduler = Scheduler(
                app=app, database=database, is_a_projects=django_setup.is_a_projects(), **options
            )
    except ScalelibError as error:
        sys.stderr.write(f"\nbeat not started: {error}\n")
        raise SystemExit(EX_CONFIG) from error
    finally:
        _is_being_made = False
    if _is_to_end:  # and the exception was lost, as in a finalizer
        raise SystemExit
    return scheduler
