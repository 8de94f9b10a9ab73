#!/usr/bin/env python3
"""A token server as docker-registry wants one: it signs who may pull what.

    token-server.py KEY CERT USER:PASS LOG [--tls PORT]      prints its port

GET with Basic, or POST with a refresh token "refresh-USER": a JWT (RS256) for the scopes that
were asked for, when they are to pull; nobody pushes. LOG gets a line for each request.
"""
import base64
import http.server
import json
import ssl
import subprocess
import sys
import time
import urllib.parse

key, cert, pair, log = sys.argv[1:5]
tls_port = int(sys.argv[6]) if sys.argv[5:6] == ["--tls"] else None
log = open(log, "a", buffering=1)
pem = "".join(line for line in open(cert).read().splitlines() if "-----" not in line)


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(service, scopes):
    access = []
    for scope in " ".join(scopes).split():
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        access.append({"type": kind, "name": name, "actions": [a for a in actions.split(",") if a == "pull"]})
    now = int(time.time())
    head = {"typ": "JWT", "alg": "RS256", "x5c": [pem]}
    claims = {"iss": "test", "sub": "me", "aud": service, "exp": now + 60, "nbf": now - 60, "iat": now,
              "jti": str(now), "access": access}
    text = url64(json.dumps(head).encode()) + "." + url64(json.dumps(claims).encode())
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), capture_output=True,
                          check=True)
    return text + "." + url64(made.stdout)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, document):
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        print("GET", self.path, file=log)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        want = "Basic " + base64.b64encode(pair.encode()).decode()
        if self.headers.get("Authorization") != want:
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "who is that"}]})
        return self.answer(200, {"token": token(query["service"][0], query.get("scope", []))})

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        print("POST", form.get("grant_type"), file=log)
        if form.get("refresh_token") != ["refresh-" + pair.split(":")[0]]:
            return self.answer(401, {"details": "that token was taken back"})
        return self.answer(200, {"access_token": token(form["service"][0], form.get("scope", []))})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", tls_port or 0), Handler)
if tls_port:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port)
sys.stdout.close()
server.serve_forever()
