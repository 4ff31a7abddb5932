"""A deterministic world around the real pass: cloud, broker, workers and what goes wrong, from a seed."""
