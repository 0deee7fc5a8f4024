from broker.model.resources import Camera
from servers.dvrserver.sources import motion_stream, sources_of

MAIN, SUB = "rtsp://192.0.2.1/main", "rtsp://192.0.2.1/sub"


def camera(**fields):
    return Camera(id="door", name="Door", node_id="node-1", main_url=MAIN, **fields)


def test_a_camera_with_two_streams_is_dialled_once_for_each():
    main, sub = sources_of(camera(sub_url=SUB), "secret")
    assert (main.stream, main.url, main.record) == ("main", MAIN, True)
    assert (sub.stream, sub.url, sub.record) == ("sub", SUB, False)
    assert motion_stream(camera(sub_url=SUB)) == "sub"


def test_a_small_stream_that_is_the_full_one_again_is_not_dialled_twice():
    assert len(sources_of(camera(sub_url=MAIN), "")) == 1
    assert motion_stream(camera(sub_url=MAIN)) == "main"


def test_a_disabled_camera_is_not_dialled():
    assert sources_of(camera(sub_url=SUB, enabled=False), "") == ()


def test_only_what_a_connection_depends_on_makes_a_source_differ():
    before = sources_of(camera(sub_url=SUB), "")
    assert sources_of(camera(sub_url=SUB, retention_h=5), "") == before
    assert sources_of(camera(sub_url=SUB, username="admin"), "") != before
    assert sources_of(camera(sub_url=SUB), "other") != before


def test_a_password_is_never_shown():
    assert "hunter2" not in repr(sources_of(camera(), "hunter2"))
