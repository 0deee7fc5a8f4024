"""The action kinds, one file each.

To add a kind: write its settings in `broker/model/actions.py`, write the file here, name it in this list, and add
a test of the same name.
"""

from workers.actions import email, http_request, record_camera

__all__ = ["email", "http_request", "record_camera"]
