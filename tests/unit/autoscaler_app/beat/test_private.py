"""Beat's own file is for its owner only: what stands in it is run."""

from __future__ import annotations

from pathlib import Path

from celery import Celery

from autoscaler_app.beat import FileScheduler


def test_the_file_of_the_schedule_is_for_its_owner_only(tmp_path: Path) -> None:
    with Celery("a", broker="memory://", set_as_current=False) as app:
        for _ in range(2):
            scheduler = FileScheduler(app=app, schedule_filename=str(tmp_path / "schedule"))
            scheduler.setup_schedule()
            scheduler.close()
            modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
            assert modes == {0o600}
            for path in tmp_path.iterdir():
                path.chmod(0o666)
