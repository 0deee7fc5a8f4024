"""Of gst-launch's failures one is its own; a server that hangs up early must not pass for it."""

from tests.gst_launch import cancelled_itself

OWN = """ERROR: from element /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0: Could not write to resource.
Additional debug info:
../gst/rtsp/gstrtspsrc.c(6766): gst_rtspsrc_try_send (): /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0:
Could not send message. (Received end-of-file)
ERROR: from element /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0: Could not write to resource.
Additional debug info:
../gst/rtsp/gstrtspsrc.c(9240): gst_rtspsrc_pause (): /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0:
Could not send message. (Received end-of-file)
"""
HUNG_UP = """ERROR: from element /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0: Could not read from resource.
Additional debug info:
../gst/rtsp/gstrtspsrc.c(5859): gst_rtspsrc_loop_interleaved (): /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0:
Could not receive message. (Received end-of-file)
"""


def test_only_its_own_cancelled_pause_is_borne():
    assert cancelled_itself(OWN)
    assert not cancelled_itself(HUNG_UP)
    assert not cancelled_itself(OWN + HUNG_UP)
    assert not cancelled_itself("")
