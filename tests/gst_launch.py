"""gst-launch-1.0 as a player, and what its exit status is worth.

gst-launch 1.22 ends by pausing its pipeline and closing it at once. Closing cancels what rtspsrc is just sending, a
PAUSE, and rtspsrc reports that as an error. In the run in which it was caught (one of 156, on a loaded machine),
GST_DEBUG showed `writev_bytes: Operation was cancelled` just before: it is the client's own cancellation, and not a
connection that our side has closed. That error is borne, and every other counts.
"""

CANCELLED_ITSELF = ("gst_rtspsrc_try_send ()", "gst_rtspsrc_pause ()", "Could not send message. (Received end-of-file)")


def cancelled_itself(complaints):
    """Whether all that a failed gst-launch complains of is that it cancelled its own last PAUSE."""
    errors = complaints.count("ERROR: from element")
    own = sum(complaints.count(place) for place in CANCELLED_ITSELF[:2])
    return errors > 0 and errors == own == complaints.count(CANCELLED_ITSELF[2])
