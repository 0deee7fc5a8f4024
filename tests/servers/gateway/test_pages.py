"""Port 9999: the files, and how little they may do."""

from urllib.parse import urlsplit


async def test_the_page_may_load_only_its_own_files_and_talk_only_to_the_data_port(alone, http):
    answer = await http.get(f"{alone.page_url}/")
    assert answer.status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    data = urlsplit(alone.data_url).netloc
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == f"'self' http://{data} ws://{data}"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert not any("unsafe" in value for value in policy.values())
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_every_answer_carries_the_headers_errors_too(alone, http):
    for path in ("/nothing", "/config.json", "/vendor/preact.js", "/%2e%2e/secret"):
        answer = await http.get(f"{alone.page_url}{path}")
        assert "content-security-policy" in answer.headers, path


async def test_the_page_learns_where_its_data_is(alone, http):
    answer = await http.get(f"{alone.page_url}/config.json")
    assert answer.json() == {"data_port": urlsplit(alone.data_url).port}


async def test_a_host_that_is_none_never_reaches_a_header(alone, http):
    answer = await http.get(f"{alone.page_url}/", headers={"Host": "x; script-src *"})
    assert answer.status_code == 400
    assert "content-security-policy" not in answer.headers


async def test_nothing_outside_the_folder_is_served(alone, http):
    for path in ("/..%2fsdk/client.py", "/%2e%2e/sdk/client.py", "/vendor/..%2f..%2fsdk/client.py"):
        assert (await http.get(f"{alone.page_url}{path}")).status_code == 404


async def test_the_page_has_no_inline_script_or_style(alone, http):
    text = (await http.get(f"{alone.page_url}/")).text
    assert "<style" not in text
    assert "style=" not in text
    assert text.count("<script") == text.count('<script type="module" src=')
