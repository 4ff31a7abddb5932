"""What was seen over time, drawn on the server as SVG: nothing to load, nothing to run."""

from autoscaler_app.web.plots.drawn import drawn, of_queue

__all__ = ["drawn", "of_queue"]
