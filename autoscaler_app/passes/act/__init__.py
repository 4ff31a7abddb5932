"""Doing it: every touch of the world that a plan asks for."""
