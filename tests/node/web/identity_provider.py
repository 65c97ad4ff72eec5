"""A small OpenID Connect provider on loopback, with keys of its own, that can be told to do wrong."""

import base64
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "wetread", "a secret: of the client"


def make_key(name):
    return RSAKey.generate_key(2048, {"kid": name})


FIRST, SECOND = make_key("first"), make_key("second")


class IdentityProvider:
    """person: claims of whoever logs in. claims(claims) -> those of the ID token; key signs it, listed are published.
    document(document): what discovery answers. asked: paths of all requests."""

    def __init__(self):
        self.issuer = ""
        self.do_right()

    def do_right(self):
        """As at first."""
        self.person = {"sub": "17", "preferred_username": "ann", "groups": ["radiology"]}
        self.claims = lambda claims: claims
        self.document = lambda document: document
        self.key, self.listed = FIRST, [FIRST]
        self.codes, self.asked = {}, []

    def sign(self, **changes):
        """A token for the client, or as `changes` say; None removes a claim."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300} | self.person | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key, algorithms=["RS256"])

    def authorize(self, query):
        """The address to which a browser is sent back."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert asked["client_id"] == CLIENT
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer})}"

    def redeem(self, form, authorization):
        """(status, body) of the token endpoint: the code counts once, for who holds verifier and secret."""
        shown = base64.b64encode(f"{CLIENT}:a+secret%3A+of+the+client".encode()).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = asked and asked["code_challenge"] == base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        if not proved or authorization != f"Basic {shown}" or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        token = self.sign(**self.claims({"nonce": asked["nonce"]}))
        return 200, {"token_type": "Bearer", "access_token": "opaque", "id_token": token}

    def answer(self, path, query, form, authorization):
        if path == "/.well-known/openid-configuration":
            ends = {"authorization": "authorize", "token": "token", "end_session": "bye"}
            document = {f"{name}_endpoint": f"{self.issuer}/{end}" for name, end in ends.items()}
            return 200, self.document(document | {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"})
        if path == "/keys":
            unknown = {"kty": "new", "kid": "x"}
            return 200, {"keys": [unknown, *KeySet(self.listed).as_dict(private=False)["keys"]]}
        if path == "/token":
            return self.redeem(form, authorization)
        return 404, {}


@contextmanager
def open_provider():
    provider = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.say({})

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.say({name: values[0] for name, values in parse_qs(body).items()})

        def say(self, form):
            parts = urlsplit(self.path)
            provider.asked.append(parts.path)
            if parts.path == "/authorize":
                self.send_response(303)
                self.send_header("Location", provider.authorize(parts.query))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status, body = provider.answer(parts.path, parts.query, form, self.headers.get("Authorization"))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
