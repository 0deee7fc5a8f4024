"""VAU, the application updater: brings an application up to date, starts it and exits."""
