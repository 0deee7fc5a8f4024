"""The command line and `vigil up`: the only composition root."""
