"""The command line for administrators and operators."""
