"""Verifies messages with the libraries that receivers use.

Reads one JSON line each: {"id": …, "timestamp": …, "signature": …, "body": base64}; writes {"verified": N, "refused": [ID, …]}.
Each message is verified by both libraries, and refused by both when one byte of it is another. Usage: webhook_cases.py SECRET FILE
"""

import base64
import json
import sys

import standardwebhooks
import svix.webhooks

SECRET, FILE = sys.argv[1], sys.argv[2]


def holds(library, error, body, headers):
    try:
        library.verify(body, headers)
        return True
    except error:
        return False


LIBRARIES = [
    (standardwebhooks.Webhook(SECRET), standardwebhooks.webhooks.WebhookVerificationError),
    (svix.webhooks.Webhook(SECRET), svix.webhooks.WebhookVerificationError),
]

verified, refused = 0, []
for line in open(FILE, encoding="utf-8"):
    message = json.loads(line)
    body = base64.b64decode(message["body"])
    names = ("id", "timestamp", "signature")
    headers = {f"{prefix}-{name}": message[name] for prefix in ("webhook", "svix") for name in names}
    other = bytes([body[0] ^ 1]) + body[1:]
    right = all(
        holds(library, error, body, headers) and not holds(library, error, other, headers) for library, error in LIBRARIES
    )
    if right:
        verified += 1
    else:
        refused.append(message["id"])
print(json.dumps({"verified": verified, "refused": refused}))
