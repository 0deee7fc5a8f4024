import pytest

from servers.wire.rtsp.errors import MalformedError
from servers.wire.rtsp.uri import StreamUri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param("rtsp://h/camera/a/main", StreamUri("/camera/a/main"), id="plain"),
        pytest.param("rtsp://h:5011/camera/a/main/", StreamUri("/camera/a/main"), id="a slash at the end"),
        pytest.param("rtsp://h/camera/a/main/trackID=1", StreamUri("/camera/a/main", "", 1), id="a track"),
        pytest.param("rtsp://h/a?ticket=x.y", StreamUri("/a", "ticket=x.y"), id="a query"),
        pytest.param(
            "rtsp://h/a?ticket=x/trackID=0", StreamUri("/a", "ticket=x", 0), id="ffmpeg: control behind a query"
        ),
        pytest.param("rtsp://h/a%20b", StreamUri("/a b"), id="escaped"),
        pytest.param("rtsps://u:p@[::1]:322/a", StreamUri("/a"), id="IPv6 and a user"),
        pytest.param("rtsp://h", StreamUri("/"), id="no path"),
        pytest.param("*", StreamUri("*"), id="the server"),
        pytest.param("/a", StreamUri("/a"), id="a path alone"),
    ],
)
def test_what_an_address_means(uri, expected):
    assert StreamUri.parse(uri) == expected


@pytest.mark.parametrize("uri", ["http://h/a", "a", "", "rtsp://[::1/a"])
def test_what_is_no_address_is_refused(uri):
    with pytest.raises(MalformedError):
        StreamUri.parse(uri)


def test_a_query_has_fields():
    assert StreamUri.parse("rtsp://h/a?ticket=x%2By&audio=").parameters == {"ticket": "x+y", "audio": ""}
