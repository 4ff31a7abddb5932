"""What does a task need? A requirement, and the name of the queue that it gets."""
