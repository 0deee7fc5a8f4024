from servers.wire.rtsp.messages import Headers, Request, Response


def test_header_names_compare_without_case():
    headers = Headers([("CSeq", "1"), ("WWW-Authenticate", "a"), ("www-authenticate", "b")])
    assert headers.get("cseq") == "1"
    assert headers.all("Www-Authenticate") == ("a", "b")
    assert "SESSION" not in headers


def test_a_value_cannot_begin_a_header_of_its_own():
    data = Response(200, Headers({"Location": "a\r\nSet: b"})).serialise()
    assert data.count(b"\r\n") == 3


def test_a_body_is_announced():
    assert b"Content-Length: 3\r\n\r\nabc" in Request("ANNOUNCE", "*", Headers(), b"abc").serialise()


def test_credentials_are_not_shown():
    assert "secret" not in repr(Headers({"Authorization": "Basic secret"}))
