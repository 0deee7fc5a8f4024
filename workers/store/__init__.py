"""What the engine does inside its database, one transaction per function."""
