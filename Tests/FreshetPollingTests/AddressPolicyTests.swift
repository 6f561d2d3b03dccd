import FreshetCore
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("S16: addresses that deny_private refuses")
struct AddressPolicyTests {
    @Test(
        "lead inside, or nowhere",
        arguments: [
            "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.1", "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.0",
            "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.1",
            "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
            "255.255.255.255", "::", "::1", "::2", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.1.2.3",
            "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1",
            "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "2002:c0a8:101::1", "3fff::1",
            "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%eth0", "febf::1",
            "fec0::1", "ff02::1", "ffff::1",
        ]
    )
    func denied(text: String) throws {
        let address = try #require(NetworkAddress(text: text))
        #expect(AddressPolicy.reasonToDeny(address) != nil)
    }

    @Test(
        "lead to the public Internet",
        arguments: [
            "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
            "128.0.0.1", "168.63.129.15", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.0.1",
            "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::808:808",
            "2001:4860:4860::8888", "2001:200::1", "2002:808:808::1", "2606:4700::1111", "2a00::1", "3ffe::1",
        ]
    )
    func allowed(text: String) throws {
        let address = try #require(NetworkAddress(text: text))
        #expect(AddressPolicy.reasonToDeny(address) == nil)
    }

    @Test(
        "text that is no address is none",
        arguments: ["", "localhost", "127.1", "0x7f.0.0.1", "1.2.3.4.5", ":::", "%"]
    )
    func notAddresses(text: String) {
        #expect(NetworkAddress(text: text) == nil)
    }
}
