"""Which addresses may be called."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.trust.egress import EgressPolicy, Resolved, unwrap
from broker.trust.errors import EgressRefusedError

PUBLIC = ["93.184.216.34", "2606:2800:220:1::1"]
NAMES = {
    "public.example": [PUBLIC[0]],
    "camera.lan": ["192.168.7.9"],
    "rebind.example": ["127.0.0.1"],
    "both.example": ["10.0.0.1", PUBLIC[0]],
    "nowhere.example": [],
}


def answers(host, port):
    if host == "unknown.example":
        raise OSError("Name or service not known")
    return NAMES.get(host) or ([] if host in NAMES else [str(ip_address(host))])


def policy(*allow, enrolled=frozenset()):
    return EgressPolicy([ip_network(text) for text in allow], lambda: enrolled, resolver=answers)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://public.example/hook?x=1", Resolved("https", "public.example", PUBLIC[0], 443)),
        ("http://public.example:8080", Resolved("http", "public.example", PUBLIC[0], 8080)),
        (f"rtsp://{PUBLIC[0]}/stream1", Resolved("rtsp", PUBLIC[0], PUBLIC[0], 554)),
        (f"rtsps://[{PUBLIC[1]}]/", Resolved("rtsps", PUBLIC[1], PUBLIC[1], 322)),
        ("https://both.example/", Resolved("https", "both.example", PUBLIC[0], 443)),
    ],
)
def test_a_public_address_may_be_called_and_is_pinned(url, place):
    assert policy().check(url) == place


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.7.9",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "[3fff::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "camera.lan",
        "rebind.example",
    ],
)
def test_an_address_that_is_not_public_is_refused_with_the_setting_that_allows_it(host):
    with pytest.raises(EgressRefusedError, match="VIGIL_EGRESS__ALLOW") as refusal:
        policy().check(f"http://{host}/", field="main_url")
    assert refusal.value.field == "main_url"
    assert refusal.value.why


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@public.example/",
        "https://user@public.example/",
        "https://public.example@127.0.0.1/",
        "ftp://public.example/",
        "file:///etc/passwd",
        "gopher://public.example/",
        "//public.example/",
        "public.example/hook",
        "https:///hook",
        "https://",
        "",
        "https://public.example:0/",
        "https://public.example:99999/",
        "https://public.example:port/",
        "https://public.example\\@127.0.0.1/",
        "https://public.example /",
        "https://public.\nexample/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://unknown.example/",
        "https://nowhere.example/",
        "https://" + "a" * 300 + "/",
    ],
)
def test_a_malformed_or_credentialed_url_is_refused_with_a_remedy(url):
    with pytest.raises(EgressRefusedError) as refusal:
        EgressPolicy(
            resolver=answers if "a" * 300 not in url else lambda host, _: [host.encode("idna").decode()]
        ).check(url)
    assert refusal.value.remedy


def test_a_refusal_never_repeats_the_password():
    with pytest.raises(EgressRefusedError) as refusal:
        policy().check("https://user:hunter2@public.example/")
    assert "hunter2" not in str(refusal.value)


def test_a_network_of_the_setting_is_allowed_and_no_other():
    allowing = policy("192.168.7.0/24", "fd00::/8")
    assert allowing.check("rtsp://camera.lan/").address == "192.168.7.9"
    assert allowing.check("http://[fd00::5]/").address == "fd00::5"
    assert allowing.check("http://[::ffff:192.168.7.9]/").port == 80
    for host in ("192.168.8.9", "[fe80::1]", "127.0.0.1"):
        with pytest.raises(EgressRefusedError):
            allowing.check(f"http://{host}/")


def test_an_enrolled_server_is_exempt_on_its_own_port_only():
    site = policy(enrolled={("127.0.0.11", 5009)})
    assert site.check("http://127.0.0.11:5009/api/v1/state").address == "127.0.0.11"
    for host in ("127.0.0.11:5010", "127.0.0.11", "127.0.0.12:5009"):
        with pytest.raises(EgressRefusedError):
            site.check(f"http://{host}/")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "017700000001", "localhost"])
def test_odd_spellings_of_loopback_are_seen_through_by_resolving_them(host):
    with pytest.raises(EgressRefusedError):
        EgressPolicy().check(f"http://{host}/")


async def test_the_check_can_be_made_without_holding_up_the_loop():
    assert (await policy().check_async("https://public.example/")).address == PUBLIC[0]


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_ipv6_is_judged_as_itself(address: IPv4Address):
    plain = policy().allows(address)
    for wrapped in (f"::ffff:{address}", f"64:ff9b::{address}", int(address) << 80 | 0x2002 << 112):
        assert unwrap(IPv6Address(wrapped)) == address
        assert policy().allows(IPv6Address(wrapped)) == plain


@given(st.ip_addresses())
def test_nothing_but_global_unicast_is_ever_allowed(address):
    if policy().allows(address):
        real = unwrap(address)
        assert real.is_global
        assert not any((real.is_multicast, real.is_loopback, real.is_link_local, real.is_private))


@given(st.text(max_size=60))
def test_any_text_is_either_checked_or_refused(text):
    try:
        place = policy().check(text)
    except EgressRefusedError:
        return
    assert policy().allows(ip_address(place.address))
