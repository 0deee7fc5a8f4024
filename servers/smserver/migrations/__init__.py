"""The history of SMServer's tables, applied by `vigil migrate`."""
