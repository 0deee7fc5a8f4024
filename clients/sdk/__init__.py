"""The typed client of ports 5008 and 5009."""
