"""The hands: Celery tasks that claim a job, load its volume, run its pipeline and encode the answer."""
