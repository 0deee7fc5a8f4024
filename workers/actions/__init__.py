"""The action kinds, one file each."""
