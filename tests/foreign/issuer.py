"""An issuer of tokens: PyJWT makes them, with keys of its own, and anybody may fetch what checks them.
Orders come as JSON lines, and what came of each goes out as one; the first line says where the discovery document is.

    {"do": "mint", "key": NAME, "claims": {…}}                 a token, signed with that key
    {"do": "mint", "key": NAME, "with_public": true, …}        signed with the public key's text as a shared secret
    {"do": "mint", "key": null, …}                             not signed at all
    {"do": "publish", "key": NAME}                             a key of RS256, or of ES256 where NAME begins with "es"
    {"do": "asked"}                                            how often somebody fetched the keys
"""

import hashlib
import hmac
import json
import sys
import threading
import time
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

keys = {}
published = []
asked = []


def kind(name):
    return "ES256" if name.startswith("es") else "RS256"


def make(name):
    is_curve = kind(name) == "ES256"
    keys[name] = ec.generate_private_key(ec.SECP256R1()) if is_curve else rsa.generate_private_key(65537, 2048)
    described = (ECAlgorithm if is_curve else RSAAlgorithm).to_jwk(keys[name].public_key(), as_dict=True)
    return described | {"kid": name, "alg": kind(name), "use": "sig"}


class Issuer(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        told = {"keys": published} if self.path == "/keys" else {"issuer": issuer, "jwks_uri": issuer + "/keys"}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def segment(value):
    return urlsafe_b64encode(value).rstrip(b"=")


def signed_with_public(name, claims):
    """By hand: PyJWT refuses to make such a token."""
    public = keys[name].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = json.dumps({"alg": "HS256", "typ": "JWT", "kid": name}).encode()
    text = segment(head) + b"." + segment(json.dumps(claims).encode())
    return (text + b"." + segment(hmac.new(public, text, hashlib.sha256).digest())).decode()


def mint(order):
    now = int(time.time())
    claims = {"iss": issuer, "sub": "aoife", "aud": "vitracka", "iat": now, "exp": now + 600} | order["claims"]
    name = order["key"]
    if name is None:
        return jwt.encode(claims, None, algorithm="none")
    if name not in keys:
        make(name)
    if order.get("with_public"):
        return signed_with_public(name, claims)
    return jwt.encode(claims, keys[name], algorithm=kind(name), headers={"kid": name})


server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
issuer = f"http://127.0.0.1:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"discovery": issuer + "/.well-known/openid-configuration"}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "publish":
        published.append(make(order["key"]))
        told = {}
    elif order["do"] == "asked":
        told = {"keys": asked.count("/keys")}
    else:
        told = {"token": mint(order)}
    print(json.dumps(told), flush=True)
