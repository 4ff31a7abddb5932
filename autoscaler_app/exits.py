"""Exit codes."""

EX_CONFIG = 78
"""A program cannot start with what it was told (the number is that of BSD's sysexits.h)."""
