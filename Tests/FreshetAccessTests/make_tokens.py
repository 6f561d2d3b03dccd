"""Tokens as two libraries of the Python world make them: one JSON object per line, for LibraryTokenTests.

Usage: make_tokens.py NOW, in seconds since 1970.
"""

import json
import sys

from authlib.jose import JsonWebKey, jwt as authlib_jwt
from joserfc import jwk, jwt

ALGORITHMS = {
    "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "ES512": ("EC", "P-521"),
    "RS256": ("RSA", 2048), "RS384": ("RSA", 2048), "RS512": ("RSA", 3072),
    "PS256": ("RSA", 2048), "PS384": ("RSA", 2048), "PS512": ("RSA", 3072),
    "EdDSA": ("OKP", "Ed25519"),
    "HS256": ("oct", 256), "HS384": ("oct", 384), "HS512": ("oct", 512),
}
KINDS = ["good", "good", "good", "expired", "audience", "signature", "key"]
NOW = int(sys.argv[1])


def claims(kind, number):
    return {
        "iss": "https://id.example.com",
        "aud": "other" if kind == "audience" else (["x", "freshet"] if number % 2 else "freshet"),
        "sub": f"user-{number}",
        "iat": NOW - 10,
        "exp": NOW if kind == "expired" else NOW + 600,
        "freshet": {"read": [f"tenant-{number}-*"], "parameters": {"name": "Zoë \"x\" \\ \u2028"}},
    }


def spoiled(token):
    head, payload, signature = token.split(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    return f"{head}.{payload}.{signature[:middle]}{other}{signature[middle + 1:]}"


def emit(library, algorithm, kind, number, token, key):
    key = dict(key)
    key["kid"] = "k1"
    print(json.dumps({
        "library": library, "algorithm": algorithm, "kind": kind, "subject": f"user-{number}",
        "token": spoiled(token) if kind == "signature" else token, "keys": {"keys": [key]},
    }))


def authlib_key(kind, size):
    return JsonWebKey.generate_key(kind, size, is_private=True)


authlib_keys = {name: authlib_key(*rest) for name, rest in ALGORITHMS.items()}
joserfc_keys = {
    name: {"EC": jwk.ECKey, "RSA": jwk.RSAKey, "OKP": jwk.OKPKey, "oct": jwk.OctKey}[kind].generate_key(size)
    for name, (kind, size) in ALGORITHMS.items()
}
names = list(ALGORITHMS)
for number in range(100):
    algorithm = names[number % len(names)]
    kind = KINDS[number % len(KINDS)]
    header = {"alg": algorithm, "typ": "JWT", "kid": "k2" if kind == "key" else "k1"}
    private = algorithm.startswith("HS")
    key = authlib_keys[algorithm]
    token = authlib_jwt.encode(header, claims(kind, number), key).decode()
    emit("authlib", algorithm, kind, number, token, key.as_dict(is_private=private))
    key = joserfc_keys[algorithm]
    token = jwt.encode(header, claims(kind, number), key, algorithms=[algorithm])
    emit("joserfc", algorithm, kind, number, token, key.as_dict(private=private))
