"""The control worker: where it may run, what it asks for and when."""
