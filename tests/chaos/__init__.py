"""A cluster of real processes that is hurt at random, from a seed: `python -m tests.chaos --help`."""
