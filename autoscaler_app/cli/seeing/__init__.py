"""Commands that show how things stand: queues, limits, and all at once for as long as one looks."""
