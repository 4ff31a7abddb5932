"""The steps of `scalelib.planner.calculate`, one noun a file."""
