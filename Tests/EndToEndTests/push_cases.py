"""Messages of Web Push from a gateway, read by pywebpush's libraries. Writes {"decrypted": N, "verified": N, "wrong": [TEXT]}.

The script is the push service. It starts the gateway with its own port in `push.allow` (PORT in the configuration), makes a
subscription with keys as pywebpush's tests make them, publishes COUNT values, and decrypts what comes. Usage:
push_cases.py FRESHET CONFIGURATION KEY COUNT
"""

import base64
import http.server
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import http_ece
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

PROGRAM, CONFIGURATION, KEY, COUNT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
PATIENCE = 60
received = queue.Queue()


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.put((dict(self.headers), body))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def text(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port, method, path, value):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, data=json.dumps(value, ensure_ascii=False).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def main():
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    port = free_port()
    with open(CONFIGURATION, encoding="utf-8") as file:
        configuration = file.read().replace("PORT", str(service.server_port))
    with open(CONFIGURATION, "w", encoding="utf-8") as file:
        file.write(f"listen: 127.0.0.1:{port}\n{configuration}")
    program = subprocess.Popen([PROGRAM, "serve", "--config", CONFIGURATION], stderr=subprocess.DEVNULL)
    try:
        for _ in range(PATIENCE * 20):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                    break
            except OSError:
                time.sleep(0.05)
        receiver = ec.generate_private_key(ec.SECP256R1(), default_backend())
        public = receiver.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        auth = os.urandom(16)
        subscription = {
            "endpoint": f"http://127.0.0.1:{service.server_port}/send/1",
            "keys": {"p256dh": text(public), "auth": text(auth)},
        }
        call(port, "POST", "/v1/sources/rates/value", {"n": 0})
        call(port, "POST", "/v1/push/subscriptions", {"subscription": subscription, "sources": "rates"})
        decrypted, verified, wrong = 0, 0, []
        for number in range(1, COUNT + 1):
            value = {"n": number, "pad": "é" * (number * 7 % 1500)}
            call(port, "POST", "/v1/sources/rates/value", value)
            fields, body = received.get(timeout=PATIENCE)
            fields = {name.lower(): field for name, field in fields.items()}
            content = http_ece.decrypt(body, private_key=receiver, auth_secret=auth, version="aes128gcm")
            if json.loads(content)["data"]["value"] == value:
                decrypted += 1
            else:
                wrong.append(content.decode())
            # py_vapid knows no white space in the list, which RFC 9110 §5.6.1 allows and RFC 8292 has in its examples.
            authorization = fields["authorization"].replace(", k=", ",k=")
            if fields["content-encoding"] == "aes128gcm" and Vapid02.verify(authorization):
                verified += 1
            claims = re.match(r"vapid t=[^.]+\.([^.]+)\.", fields["authorization"]).group(1)
            claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            if claims["aud"] != f"http://127.0.0.1:{service.server_port}":
                wrong.append(json.dumps(claims))
        print(json.dumps({"decrypted": decrypted, "verified": verified, "wrong": wrong}))
    finally:
        program.terminate()
        program.wait(timeout=PATIENCE)
        service.shutdown()


main()
