"""What is said on RabbitMQ, by whom, and where it goes."""
