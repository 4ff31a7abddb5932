"""What may not be done now, though it is right: what people asked for, and how much at once."""
