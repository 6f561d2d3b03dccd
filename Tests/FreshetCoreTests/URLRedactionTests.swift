import FreshetCore
import Testing

@Suite("A04: what of a URL is shown")
struct URLRedactionTests {
    @Test(
        "names of parameters are, values, user information and fragments are not",
        arguments: [
            ("https://a.example/x", "https://a.example/x"), ("", ""), ("a: b", "a: b"), ("://", "://"),
            ("https://a.example/x?api_key=s3cret", "https://a.example/x?api_key=***"),
            ("https://a.example?api_key=s3cret&b=&c", "https://a.example?api_key=***&b=&***"),
            ("https://a.example/?s3cret", "https://a.example/?***"),
            ("https://a.example/?a=s3=cret&a=s3cret", "https://a.example/?a=***&a=***"),
            ("https://a.example/?a=s3cret;b=s3cret", "https://a.example/?a=***"),
            ("https://a.example/?a=\"s3cret\"", "https://a.example/?a=***"),
            ("https://a.example/?u=https://b.example/?x=s3cret", "https://a.example/?u=***"),
            ("https://user:s3cret@a.example/", "https://***@a.example/"),
            ("https://s3cret@a.example", "https://***@a.example"),
            ("https://user:s3@cret@a.example:1/?x=s3cret#s3cret", "https://***@a.example:1/?x=***#***"),
            ("https://a.example/@x?y=s3cret", "https://a.example/@x?y=***"),
            ("socks5://user:s3cret@a.example", "socks5://***@a.example"),
            (
                "no connection to https://a.example/?x=s3cret or http://u:s3cret@b",
                "no connection to https://a.example/?x=*** or http://***@b"
            ),
            ("\"https://a.example/?x=***\": too long", "\"https://a.example/?x=***\": too long"),
            ("https://a.example/?x=***s3cret", "https://a.example/?x=***"),
            ("https://a.example/?x=s3cret\r\nhttps://b/?y=s3cret", "https://a.example/?x=***\r\nhttps://b/?y=***"),
            ("https://é.example/?é=s3crét", "https://é.example/?é=***"),
        ]
    )
    func redacted(text: String, expected: String) {
        #expect(!URLRedaction.redacted(text, wholly: true).contains("s3"))
        let result = URLRedaction.redacted(text)
        #expect(result == expected)
        #expect(URLRedaction.redacted(result) == result)
        #expect(!result.contains("s3"))
    }
}
