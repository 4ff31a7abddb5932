"""What is changed in kombu's channel to Redis."""
