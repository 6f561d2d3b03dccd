"""The cases of RFC 6455 and RFC 7692 against a gateway, one JSON line each: {"case": NAME, "ok": BOOL, "detail": TEXT}.

Frames are written and read by wsproto; what is meant to be wrong is written by hand. An operation that the gateway does not know
stands for an echo: its answer repeats `re`. Usage: socket_cases.py HOST PORT PATH
"""

import asyncio
import json
import os
import socket
import struct
import sys
import zlib

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode

HOST, PORT, PATH = sys.argv[1], int(sys.argv[2]), sys.argv[3]
LIMIT = 64 << 10
PATIENCE = 10

HEAD = (
    f"GET {PATH} HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def frame(first, payload=b"", mask=b"\x37\xfa\x21\x3d", length=None):
    """A client's frame by hand; `length` in the place of the right one."""
    bit = 0x80 if mask is not None else 0
    if length is None:
        count = len(payload)
        length = (
            bytes([count]) if count < 126 else b"\x7e" + struct.pack("!H", count) if count < 65536
            else b"\x7f" + struct.pack("!Q", count)
        )
    head = bytes([first, length[0] | bit]) + length[1:]
    if mask is None:
        return head + payload
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


def echo(re, size=0):
    """A message whose answer repeats `re`, of `size` bytes at least."""
    text = json.dumps({"re": re, "op": "echo"}, ensure_ascii=False).encode()
    if size > len(text):
        text = text[:-1] + b', "x": "' + b"y" * (size - len(text) - 9) + b'"}'
    return text


class Client:
    def __init__(self, extra="", fields=HEAD):
        self.socket = socket.create_connection((HOST, PORT), PATIENCE)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall((fields + extra + "\r\n").encode())
        self.received = b""
        while b"\r\n\r\n" not in self.received:
            data = self.socket.recv(65536)
            if not data:
                break
            self.received += data
        head, _, rest = self.received.partition(b"\r\n\r\n")
        self.head = head.decode()
        self.status = int(self.head.split(" ")[1]) if self.head else 0
        extensions = []
        if "permessage-deflate" in self.head:
            deflate = PerMessageDeflate()
            deflate.finalize("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
            extensions.append(deflate)
        self.reader = FrameProtocol(client=True, extensions=extensions)
        self.reader.receive_bytes(rest)
        self.writer = FrameProtocol(client=True, extensions=[])

    def send(self, data, chop=None):
        try:
            if chop:
                for start in range(0, len(data), chop):
                    self.socket.sendall(data[start:start + chop])
            else:
                self.socket.sendall(data)
        except OSError:
            pass

    def run(self):
        """Everything up to the end: the re of answers, pongs, and the code of the close."""
        answers, pongs, text = [], [], ""
        while True:
            for item in self.reader.received_frames():
                if item.opcode is Opcode.TEXT:
                    text += item.payload
                    if item.message_finished:
                        answers.append(json.loads(text)["re"])
                        text = ""
                elif item.opcode is Opcode.PONG:
                    pongs.append(bytes(item.payload))
                elif item.opcode is Opcode.CLOSE:
                    return answers, pongs, int(item.payload[0])
            try:
                data = self.socket.recv(65536)
            except OSError as error:
                return answers, pongs, f"{type(error).__name__}"
            if not data:
                return answers, pongs, "end"
            self.reader.receive_bytes(data)

    def close(self):
        self.socket.close()


CLOSE = frame(0x88, struct.pack("!H", 1000))
CASES = []


def case(name, data, answers=(), pongs=(), code=1000, chop=None, extra="", closes=True):
    """Frames, and what comes of them; with a Close frame behind them where they do not end the socket."""
    if code == 1000 and closes:
        data += CLOSE
    CASES.append((name, data, list(answers), list(pongs), code, chop, extra))


def text_frames(payload, size):
    """A message in fragments of `size` bytes."""
    pieces = [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]
    data = b""
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        data += frame((0x80 if last else 0) | (1 if index == 0 else 0), piece)
    return data


def framing():
    for size in [0, 125, 126, 127, 128, 1000, 65000, 65535, 65536 - 1]:
        case(f"1 a message of {size} bytes", frame(0x81, echo(size, size)), [size])
    case("1 a message at the limit", frame(0x81, echo(1, LIMIT)), [1])
    for chop in [1, 2, 7, 13, 1000]:
        case(f"1 messages that arrive {chop} bytes at a time", frame(0x81, echo(1, 300)) + frame(0x81, echo(2)), [1, 2], chop=chop)
    case("1 many messages at once", b"".join(frame(0x81, echo(n)) for n in range(30)), list(range(30)))
    for mask in [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4", b"\x80\0\0\1"]:
        case(f"1 the mask {mask.hex()}", frame(0x81, echo(5, 200), mask=mask), [5])
    for opcode in [0x81, 0x89, 0x8A, 0x88, 0x80]:
        case(f"1 no mask on opcode {opcode & 15}", frame(opcode, b"", mask=None), code=1002)
    case("1 no mask behind a good message", frame(0x81, echo(1)) + frame(0x81, echo(2), mask=None), [1], code=1002)
    for size in [0, 1, 125]:
        case(f"1 {size} bytes as a length of two", frame(0x81, b"", length=b"\x7e" + struct.pack("!H", size)), code=1002)
    for size in [0, 125, 126, 65535]:
        case(f"1 {size} bytes as a length of eight", frame(0x81, b"", length=b"\x7f" + struct.pack("!Q", size)), code=1002)
    case("1 the first bit of a length", frame(0x81, b"", length=b"\x7f" + b"\x80" + b"\0" * 7), code=1002)
    case("1 binary", frame(0x82, b"abc"), code=1003)
    case("1 binary in fragments", frame(0x02, b"abc"), code=1003)


def pings():
    for size in [0, 1, 2, 50, 124, 125]:
        payload = bytes(range(256))[:size]
        case(f"2 a ping of {size} bytes", frame(0x89, payload), pongs=[payload])
    case("2 a ping of 126 bytes", frame(0x89, b"x" * 126), code=1002)
    case("2 a ping of 64 KiB", frame(0x89, b"x" * 65536), code=1002)
    case("2 a ping a byte at a time", frame(0x89, b"x" * 125), pongs=[b"x" * 125], chop=1)
    case("2 a pong that nobody asked for", frame(0x8A, b"hello") + frame(0x81, echo(1)), [1])
    case("2 a pong of 126 bytes", frame(0x8A, b"x" * 126), code=1002)
    case("2 ten pings", b"".join(frame(0x89, bytes([n])) for n in range(10)), pongs=[bytes([n]) for n in range(10)])
    case("2 a ping that is a fragment", frame(0x09, b"x"), code=1002)
    case("2 a pong that is a fragment", frame(0x0A, b"x"), code=1002)
    case("2 a ping between messages", frame(0x81, echo(1)) + frame(0x89, b"p") + frame(0x81, echo(2)), [1, 2], [b"p"])
    case("2 a ping that is not UTF-8", frame(0x89, b"\xff\xfe"), pongs=[b"\xff\xfe"])


def reserved():
    for bits in range(1, 8):
        for opcode in [0, 1, 2, 8, 9, 10]:
            case(f"3 bits {bits} of opcode {opcode}", frame(0x80 | bits << 4 | opcode, b""), code=1002)
    for bits in [0x10, 0x20, 0x40]:
        case(f"3 bit {bits:#x} behind a good message", frame(0x81, echo(1)) + frame(0x81 | bits, echo(2)), [1], code=1002)
        case(f"3 bit {bits:#x} a byte at a time", frame(0x81 | bits, echo(2)), code=1002, chop=1)
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]:
        case(f"4 opcode {opcode}", frame(0x80 | opcode, b""), code=1002)
        case(f"4 opcode {opcode} with a payload", frame(0x80 | opcode, b"abc"), code=1002)
        case(f"4 opcode {opcode} behind a message", frame(0x81, echo(1)) + frame(0x80 | opcode, b"") + frame(0x81, echo(2)), [1], code=1002)


def fragments():
    for size in [1, 2, 3, 5, 8, 1000]:
        case(f"5 fragments of {size} bytes", text_frames(echo(1, 100), size), [1])
    payload = echo(1, 200)
    case("5 an empty first fragment", frame(0x01, b"") + frame(0x80, payload), [1])
    case("5 an empty last fragment", frame(0x01, payload) + frame(0x80, b""), [1])
    case("5 empty fragments all over", frame(0x01, b"") + frame(0x00, b"") * 5 + frame(0x00, payload) + frame(0x80, b""), [1])
    case("5 a ping between fragments", frame(0x01, payload[:9]) + frame(0x89, b"p") + frame(0x80, payload[9:]), [1], [b"p"])
    case("5 pings between all fragments", b"".join(
        frame((0x80 if n == 199 else 0) | (1 if n == 0 else 0), payload[n:n + 1]) + (frame(0x89, bytes([n])) if n % 20 == 0 else b"")
        for n in range(200)), [1], [bytes([n]) for n in range(0, 200, 20)])
    case("5 a pong between fragments", frame(0x01, payload[:9]) + frame(0x8A, b"p") + frame(0x80, payload[9:]), [1])
    case("5 a close between fragments", frame(0x01, payload[:9]) + CLOSE + frame(0x80, payload[9:]), closes=False)
    case("5 a continuation of nothing", frame(0x80, b"x"), code=1002)
    case("5 an open continuation of nothing", frame(0x00, b"x"), code=1002)
    case("5 a continuation after an end", frame(0x81, payload) + frame(0x80, b"x"), [1], code=1002)
    case("5 a continuation after fragments", text_frames(payload, 50) + frame(0x80, b"x"), [1], code=1002)
    case("5 a message inside of a message", frame(0x01, payload[:9]) + frame(0x81, echo(2)), code=1002)
    case("5 a first fragment twice", frame(0x01, payload[:9]) + frame(0x01, payload[9:]), code=1002)
    case("5 binary inside of a message", frame(0x01, payload[:9]) + frame(0x82, b"x"), code=1002)
    case("5 two messages in fragments", text_frames(echo(1, 100), 33) + text_frames(echo(2, 100), 44), [1, 2])
    for chop in [1, 3, 11]:
        case(f"5 fragments that arrive {chop} bytes at a time", text_frames(payload, 20) + frame(0x89, b"q"), [1], [b"q"], chop=chop)
    for opcode in [3, 7, 11, 15]:
        case(f"5 opcode {opcode} between fragments", frame(0x01, payload[:9]) + frame(0x80 | opcode, b""), code=1002)


VALID = ["κόσμε", "\0", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000",
         "\ufffd", "\ufffe", "\ufeff", "Hello-µ@ßöäüàá-UTF-8!!", "日本語", "🌊🚲", "\U0001fffe"]
INVALID = ["80", "bf", "8080", "c0", "c080", "c1bf", "c2", "c241", "c2c2", "df", "e0", "e080", "e08080", "e09fbf", "e2", "e282", "e28228",
           "ed", "eda080", "edadbf", "edae80", "edafbf", "edb080", "edbfbf", "eda080edb080", "ef", "efbf", "f0", "f080",
           "f0808080", "f08fbfbf", "f09f", "f09f8c", "f0288c28", "f4", "f4908080", "f490", "f5", "f5808080", "f7bfbfbf", "f8",
           "f888808080", "fbbfbfbfbf", "fc", "fc8480808080", "fdbfbfbfbfbf", "fe", "ff", "feff", "fefeffff",
           "cebae1bdb9cf83cebcceb5eda080656469746564", "cebae1bdb9cf83cebcceb5f4908080656469746564"]


def texts():
    for text in VALID:
        if text in "\0\x7f\x80" or len(text) <= 64:
            data = json.dumps({"re": text, "op": "echo"}, ensure_ascii=False).encode()
            if text == "\0":
                data = b'{"re":"\\u0000","op":"echo"}'
            case(f"6 the text {text!r}", frame(0x81, data), [text])
            case(f"6 the text {text!r} in fragments of a byte", text_frames(data, 1), [text])
    for text in INVALID:
        payload = bytes.fromhex(text)
        case(f"6 the bytes {text}", frame(0x81, payload), code=1007)
        case(f"6 the bytes {text} in fragments of a byte", text_frames(payload, 1), code=1007)
    for text in ["ff", "f490", "eda0", "c0"]:
        # Before the message is there whole.
        case(f"6 the bytes {text} and nothing more", frame(0x01, b'{"x":"' + bytes.fromhex(text)), code=1007)
        case(f"6 the bytes {text} in a frame that does not end", frame(0x81, b"a" + bytes.fromhex(text) + b"x" * 100)[:30], code=1007)
    case("6 half a character at the end of a message", frame(0x01, b"\xce") + frame(0x80, b""), code=1007)
    case("6 half a character, then a ping", frame(0x01, b'{"re":"\xce') + frame(0x89, b"p") + frame(0x80, b'\xba","op":"echo"}'), ["κ"], [b"p"])


def closes():
    case("7 a close without a code", frame(0x88, b""), closes=False)
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]:
        case(f"7 the code {code}", frame(0x88, struct.pack("!H", code)), code=code)
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]:
        case(f"7 the code {code}, which none may say", frame(0x88, struct.pack("!H", code)), code=1002)
    case("7 half a code", frame(0x88, b"\x03"), code=1002)
    for size in [1, 50, 123]:
        case(f"7 a reason of {size} bytes", frame(0x88, struct.pack("!H", 1000) + b"r" * size), closes=False)
    case("7 a reason of 124 bytes", frame(0x88, struct.pack("!H", 1000) + b"r" * 124), code=1002)
    for text in ["ff", "cebae1bdb9cf83cebcceb5eda080", "e282", "f4908080"]:
        case(f"7 a reason of the bytes {text}", frame(0x88, struct.pack("!H", 1000) + bytes.fromhex(text)), code=1007)
    case("7 a close that is a fragment", frame(0x08, struct.pack("!H", 1000)), code=1002)
    case("7 two closes", CLOSE + frame(0x88, struct.pack("!H", 1001)), closes=False)
    case("7 a message behind a close", CLOSE + frame(0x81, echo(1)), closes=False)
    case("7 a ping behind a close", CLOSE + frame(0x89, b"p"), closes=False)
    case("7 garbage behind a close", CLOSE + b"\xff" * 100, closes=False)
    case("7 a message and a close", frame(0x81, echo(1)) + CLOSE, [1], closes=False)


def limits():
    case("9 a message one byte above the limit", frame(0x81, echo(1, LIMIT + 1)), code=1009)
    case("9 a message above the limit, by its header alone", frame(0x81, b"", length=b"\x7f" + struct.pack("!Q", 1 << 40)), code=1009)
    case("9 fragments above the limit", frame(0x01, b"x" * 40000) + frame(0x80, b"x" * 40000), code=1009)
    case("9 a thousand fragments above the limit", frame(0x01, b"") + frame(0x00, b"x" * 100) * 1000, code=1009)
    for size in [1 << 10, 4 << 10, 16 << 10, 32 << 10, LIMIT]:
        for chop in [None, 1000, 8192]:
            case(f"9 {size} bytes, {chop or 'all'} at a time", frame(0x81, echo(3, size)), [3], chop=chop)
        case(f"9 {size} bytes in fragments", text_frames(echo(4, size), 512), [4])


OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def deflated(payload, level=6, last=False, bits=15):
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
    return data + b"\0" if last else data[:-4]


def compression():
    for size in [0, 16, 100, 1000, 10000, LIMIT]:
        # What is not compressed is longer than it was.
        for level in [0, 1, 9] if size < LIMIT else [1, 9]:
            case(f"12 {size} bytes at level {level}", frame(0xC1, deflated(echo(size, size), level)), [size], extra=OFFER)
    data = deflated(echo(1, 500))
    case("12 in fragments", frame(0x41, data[:10]) + frame(0x00, data[10:20]) + frame(0x80, data[20:]), [1], extra=OFFER)
    case("12 in fragments with a ping", frame(0x41, data[:10]) + frame(0x89, b"p") + frame(0x80, data[10:]), [1], [b"p"], extra=OFFER)
    case("12 with a last block", frame(0xC1, deflated(echo(2, 300), last=True)), [2], extra=OFFER)
    case("12 with a window of 2^9", frame(0xC1, deflated(echo(2, 3000), bits=9)), [2], extra=OFFER)
    case("12 plain messages between", frame(0x81, echo(1)) + frame(0xC1, deflated(echo(2, 99))) + frame(0x81, echo(3)), [1, 2, 3], extra=OFFER)
    case("12 a byte at a time", frame(0xC1, deflated(echo(1, 400))), [1], chop=1, extra=OFFER)
    case("12 each by itself", frame(0xC1, deflated(echo(1, 400))) * 5, [1] * 5, extra=OFFER)
    case("12 a bomb", frame(0xC1, deflated(b" " * (50 << 20))), code=1009, extra=OFFER)
    case("12 one byte above the limit", frame(0xC1, deflated(echo(1, LIMIT + 1))), code=1009, extra=OFFER)
    case("12 garbage", frame(0xC1, b"\xff\xff\xff\xff"), code=1007, extra=OFFER)
    case("12 cut", frame(0xC1, deflated(echo(1, 300), level=0)[:100]), code=1007, extra=OFFER)
    case("12 not UTF-8 inside", frame(0xC1, deflated(b"\xff" * 100)), code=1007, extra=OFFER)
    case("12 without an agreement", frame(0xC1, deflated(echo(1, 300))), code=1002)
    case("12 a continuation that is compressed", frame(0x41, data[:10]) + frame(0xC0, data[10:]), code=1002, extra=OFFER)
    case("12 a ping that is compressed", frame(0xC9, b"p"), code=1002, extra=OFFER)
    case("12 a close that is compressed", frame(0xC8, struct.pack("!H", 1000)), code=1002, extra=OFFER)


def report(name, problem):
    print(json.dumps({"case": name, "ok": not problem, "detail": problem or ""}), flush=True)


def run_cases():
    for build in [framing, pings, reserved, fragments, texts, closes, limits, compression]:
        build()
    for name, data, answers, pongs, code, chop, extra in CASES:
        client = Client(extra)
        if client.status != 101:
            report(name, client.head)
            continue
        client.send(data, chop)
        got = client.run()
        client.close()
        wanted = (answers, pongs, code)
        # What was asked for before a mistake may be answered before it is noticed, or not.
        is_right = got == wanted if code == 1000 else got[2] == code
        report(name, "" if is_right else f"{got} in the place of {wanted}"[:500])


def run_handshakes():
    """Answers to handshakes, by status."""
    def change(old, new):
        return HEAD.replace(old, new)

    cases = [
        ("as it should be", HEAD, 101), ("in other letters", HEAD.replace("websocket", "WebSocket").replace(": Upgrade", ": upgrade"), 101),
        ("with several connection options", change("Connection: Upgrade", "Connection: keep-alive, Upgrade"), 101),
        ("with a list of protocols", HEAD + "Sec-WebSocket-Protocol: chat, freshet.v1\r\n", 101),
        ("with protocols in two fields", HEAD + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: freshet.v1\r\n", 101),
        ("with an extension that is not known", HEAD + "Sec-WebSocket-Extensions: x-bzip; a=1\r\n", 101),
        ("without Upgrade", change("Upgrade: websocket\r\n", ""), 426), ("for another protocol", change("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("without the connection option", change("Connection: Upgrade\r\n", ""), 426),
        ("without a version", change("Sec-WebSocket-Version: 13\r\n", ""), 426), ("of version 8", change("Version: 13", "Version: 8"), 426),
        ("of version 14", change("Version: 13", "Version: 14"), 426), ("of HTTP/1.0", change("HTTP/1.1", "HTTP/1.0"), 426),
        ("without a key", change("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400),
        ("with a short key", change("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400),
        ("with a key that is not base64", change("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25!ZQ=="), 400),
        ("with two keys", HEAD + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400),
        ("with protocols that are not ours", HEAD + "Sec-WebSocket-Protocol: chat\r\n", 400),
        ("as POST", change("GET", "POST"), 405), ("as HEAD", change("GET", "HEAD"), 426),
        ("from a foreign page", HEAD + "Origin: https://evil.example\r\n", 403), ("from no page at all", HEAD + "Origin: null\r\n", 403),
        ("from our own page", HEAD + f"Origin: http://{HOST}:{PORT}\r\n", 101), ("from a listed page", HEAD + "Origin: https://app.example\r\n", 101),
    ]
    for name, fields, status in cases:
        client = Client(fields=fields)
        problem = "" if client.status == status else client.head
        if status == 426 and "Sec-WebSocket-Version: 13" not in client.head:
            problem = "no version in " + client.head
        report(f"handshake {name}", problem)
        client.close()
    offers = [
        ("permessage-deflate", True), ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", True),
        ("permessage-deflate; server_max_window_bits=8", False), ("permessage-deflate; frobnicate", False),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", True), ("x-webkit-deflate-frame", False),
    ]
    for offer, taken in offers:
        client = Client(f"Sec-WebSocket-Extensions: {offer}\r\n")
        is_taken = "server_no_context_takeover" in client.head
        report(f"handshake with {offer}", "" if is_taken == taken and client.status == 101 else client.head)
        client.close()


async def run_websockets():
    import websockets

    uri = f"ws://{HOST}:{PORT}{PATH}"
    async with websockets.connect(uri, subprotocols=["freshet.v1"]) as client:
        assert client.subprotocol == "freshet.v1"
        assert client.protocol.extensions, "no compression"
        await client.send(json.dumps({"re": 1, "op": "subscribe", "sources": "rates"}))
        first = json.loads(await client.recv())
        assert first["event"] == "snapshot", first
        answer = json.loads(await client.recv())
        assert answer["re"] == 1 and answer["ok"]["cursor"] == first["id"], answer
        await (await client.ping())
        event = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
        assert event["event"] in ("patch", "snapshot") and event["data"]["source"] == "rates", event
        await client.close(1000)
        assert client.close_code == 1000


async def run_aiohttp():
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://{HOST}:{PORT}{PATH}", protocols=["freshet.v1"], compress=15) as client:
            assert client.protocol == "freshet.v1" and client.compress, (client.protocol, client.compress)
            await client.send_str(json.dumps({"re": "a", "op": "subscribe", "sources": "rates", "mode": "snapshot"}))
            first = await client.receive_json(timeout=PATIENCE)
            assert first["event"] == "snapshot", first
            answer = await client.receive_json(timeout=PATIENCE)
            assert answer["re"] == "a" and "ok" in answer, answer
            await client.ping()
            event = await client.receive_json(timeout=PATIENCE)
            assert event["event"] == "snapshot", event
            await client.close()
            assert client.close_code == 1000, client.close_code


def run_library(name, body):
    try:
        asyncio.run(asyncio.wait_for(body(), 30))
        report(name, "")
    except BaseException as error:  # noqa: BLE001
        report(name, f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    os.environ.pop("http_proxy", None)
    run_handshakes()
    run_cases()
    run_library("library websockets", run_websockets)
    run_library("library aiohttp", run_aiohttp)
