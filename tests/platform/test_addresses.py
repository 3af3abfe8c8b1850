from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.platform.addresses import EgressPolicy

PUBLIC_ONLY = EgressPolicy()


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
        *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.192"),
        *("192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::8.8.8.8", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0"),
        *("fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "2001:10::1", "2001:20::1", "3fff::1", "5f00::1", "4000::1"),
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "64:ff9b:1::808:808", "2002:7f00:1::"),
        *("2002:808:808::", "2001:0:808:808::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not PUBLIC_ONLY.permits(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1"]
)
def test_public_addresses_are_permitted_also_behind_address_translation(address: str) -> None:
    assert PUBLIC_ONLY.permits(address)
    assert PUBLIC_ONLY.permits(f"::ffff:{address}")
    assert PUBLIC_ONLY.permits(str(IPv6Address("64:ff9b::") + int(IPv4Address(address))))


@pytest.mark.parametrize("address", ["2606:4700:4700::1111", "2a00:1450:4001:80e::200e", "2001:4860:4860::8888"])
def test_public_ipv6_addresses_are_permitted(address: str) -> None:
    assert PUBLIC_ONLY.permits(address)


@given(address=st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_the_same(address: IPv4Address) -> None:
    inside = (IPv6Address("::ffff:0:0") + int(address), IPv6Address("64:ff9b::") + int(address))

    assert {PUBLIC_ONLY.permits(str(each)) for each in inside} == {PUBLIC_ONLY.permits(str(address))}


@given(address=st.ip_addresses(v=6))
def test_only_global_unicast_and_translated_ipv4_are_permitted_of_ipv6(address: IPv6Address) -> None:
    carries_ipv4 = address.ipv4_mapped is not None or address in ip_network("64:ff9b::/96")

    if PUBLIC_ONLY.permits(str(address)):
        assert carries_ipv4 or address in ip_network("2000::/3")


def test_an_operator_may_allow_a_network_and_nothing_more() -> None:
    policy = EgressPolicy(allow=(ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")))

    assert policy.permits("10.1.2.3")
    assert policy.permits("::ffff:10.1.2.3")
    assert policy.permits("fd00:1::5")
    assert policy.permits("8.8.8.8")
    assert not policy.permits("10.2.0.1")
    assert not policy.permits("fd00:2::5")
