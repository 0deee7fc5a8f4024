"""DVRServer: capture, record, detect and play back, on ports 5009 and 5011."""
