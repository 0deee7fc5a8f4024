"""The alarm and action engine, on Celery."""
