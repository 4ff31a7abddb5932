"""Celery's insides: every reach into what Celery, kombu, amqp and billiard do not promise."""
