"""Simulated cameras for the demo and for tests."""
