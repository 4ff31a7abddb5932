"""Commands that show how things stand (queues, limits, all at once), and what would be."""
