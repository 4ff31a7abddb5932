"""Whom the control worker tells how things stand, and how."""
