from servers.wire.rtp.reception import REORDERED, Reception


def test_the_first_packet_begins_the_count():
    reception = Reception(90_000)
    assert reception.restart(500, 1)
    assert reception.block(0) is None


def test_old_packets_are_told_from_gaps():
    reception = Reception(90_000)
    reception.restart(10, 1)
    reception.expected = 11
    assert not reception.restart(10, 1)
    assert not reception.restart((11 - REORDERED) & 0xFFFF, 1)
    assert reception.restart((11 - REORDERED - 1) & 0xFFFF, 1)
    assert reception.gaps == 1


def test_jitter_is_that_of_rfc_3550():
    reception = Reception(90_000)
    reception.restart(0, 1)
    reception.expected, reception.received = 1, 1
    for timestamp, now_us in ((0, 0), (3600, 40_000), (7200, 96_000)):
        reception.arrived(timestamp, now_us)
    assert reception.block(0).jitter == 1440 // 16
