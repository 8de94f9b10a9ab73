#!/usr/bin/env python3
"""A registry that serves one OCI layout as every repository, as its options say, and writes
down what it was asked.

    registry.py LAYOUT LOG [--port N] [--tls CERT KEY] [--basic USER:PASS] [--token USER:PASS]
                [--busy N] [--busy-status N] [--retry-after WHEN]
                [--host ADDRESS] [--redirect] [--challenge] [--hold SECONDS] [--truncate BYTES] [--type MEDIATYPE]
                [--refresh TOKEN] [--post] [--client-ca PEM] [--header NAME] [--missing]
                [--cut BYTES --cuts N] [--no-ranges] [--wrong-range] [--flip BYTE] [--rate BYTES]
                [--slow BYTE RATE N]

Prints its port first. LOG gets a line for each request: path, authorization or "-".
--token: Bearer tokens by /token, which wants Basic when USER:PASS is not ":"; with --post it
only knows OAuth2's POST, with --refresh only that refresh token.  --busy: the
first N requests are answered 503, or --busy-status, with --retry-after SECONDS, date+SECONDS or none.  --redirect: blobs are elsewhere, on
127.0.0.2 with another port, which writes "other" before its lines; with --challenge it
wants to know who asks.  --hold: a blob's second
half comes later.  --truncate: blobs end, and say so, after so many bytes.  --client-ca: only
who has a certificate of that authority is let in.  --header: its value ends each line of LOG.
--missing: nothing is there, and "missing" begins each line.
Of blobs: --cut BYTES --cuts N: N answers end, with their connection, after so many bytes;
--no-ranges; --wrong-range: another one comes than was asked for; --flip BYTE: one is wrong;
--rate BYTES: so many a second; --slow BYTE RATE N: so many of the first N answers that begin at BYTE. A range is a line of its own in LOG.
"""
import argparse
import base64
import email.utils
import http.server
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
import urllib.parse

p = argparse.ArgumentParser()
p.add_argument("layout")
p.add_argument("log")
p.add_argument("--port", type=int, default=0)
p.add_argument("--tls", nargs=2)
p.add_argument("--basic")
p.add_argument("--token")
p.add_argument("--busy", type=int, default=0)
p.add_argument("--busy-status", type=int, default=503)
p.add_argument("--retry-after", default="0")
p.add_argument("--host", default="127.0.0.1")
p.add_argument("--challenge", action="store_true")
p.add_argument("--redirect", action="store_true")
p.add_argument("--hold", type=float, default=0)
p.add_argument("--truncate", type=int)
p.add_argument("--cut", type=int, default=0)
p.add_argument("--cuts", type=int, default=0)
p.add_argument("--no-ranges", action="store_true")
p.add_argument("--wrong-range", action="store_true")
p.add_argument("--flip", type=int)
p.add_argument("--rate", type=int)
p.add_argument("--slow", type=int, nargs=3, default=[-1, 0, 0])
p.add_argument("--type")
p.add_argument("--refresh")
p.add_argument("--post", action="store_true")
p.add_argument("--client-ca")
p.add_argument("--header")
p.add_argument("--missing", action="store_true")
args = p.parse_args()
index = json.load(open(f"{args.layout}/index.json"))
top = index["manifests"][0]
log = open(args.log, "a", buffering=1)
lock = threading.Lock()
busy = args.busy
cuts = args.cuts
slow_at, slow_rate, slows = args.slow
other = None


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


def retry_after():
    if args.retry_after.startswith("date+"):
        return [("Retry-After", email.utils.formatdate(time.time() + int(args.retry_after[5:]), usegmt=True))]
    return [] if args.retry_after == "none" else [("Retry-After", args.retry_after)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code, body=b"", kind="application/octet-stream", headers=(), send=None):
        """send: how many bytes of the body come before the connection ends."""
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if send is not None and send < len(body):
            self.wfile.write(body[:send])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        half = len(body) // 2 if args.hold and len(body) > 4096 else len(body)
        self.wfile.write(body[:half])
        if half < len(body):
            self.wfile.flush()
            time.sleep(args.hold)
            self.wfile.write(body[half:])

    def blob(self, body):
        """The whole, or the range that is asked for; with what is wrong with it."""
        global cuts, slows
        if args.flip is not None and len(body) > args.flip:
            body = body[:args.flip] + bytes([body[args.flip] ^ 1]) + body[args.flip + 1:]
        if args.truncate is not None:
            body = body[:args.truncate]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        code, headers, rate, begin = 200, [], args.rate, 0
        if wanted and not args.no_ranges:
            first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
            if first > last:
                return self.answer(416)
            said = first + 1 if args.wrong_range else first
            code, headers = 206, [("Content-Range", f"bytes {said}-{last}/{len(body)}")]
            body, begin = body[first:last + 1], first
        with lock:
            cut = cuts > 0 and len(body) > args.cut
            cuts -= cut
            if slows and begin == slow_at:
                slows, rate = slows - 1, slow_rate
        if rate and len(body) > 4096:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            step = max(rate // 20, 1)
            for at in range(0, len(body), step):
                self.wfile.write(body[at:at + step])
                time.sleep(0.05)
            return None
        return self.answer(code, body, headers=headers, send=args.cut if cut else None)

    def base(self):
        return ("https" if args.tls else "http") + "://" + self.headers["Host"]

    def denied(self, challenge):
        self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}', "application/json",
                    [("WWW-Authenticate", challenge)])

    def do_POST(self):
        """OAuth2 at the token server: a refresh token, or user and password."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        print(self.path, self.headers.get("Authorization", "-"), body, file=log)
        form = dict(urllib.parse.parse_qsl(body))
        known = (form.get("grant_type") == "refresh_token" and form.get("refresh_token") == args.refresh
                 or form.get("grant_type") == "password" and f"{form['username']}:{form['password']}" == args.token)
        if self.path != "/token" or not known or not form.get("scope", "").startswith("repository:"):
            return self.answer(401, b'{"error":"invalid_grant","details":"no such grant"}', "application/json")
        return self.answer(200, b'{"access_token":"tok"}', "application/json")

    def do_GET(self):
        global busy
        elsewhere = self.server is other
        auth = self.headers.get("Authorization", "-")
        print(("other " if elsewhere else "missing " if args.missing else "") + self.path, auth, *([self.headers.get(args.header)] if args.header else []),
              file=log)
        path = self.path.split("?")[0]
        if path == "/v2/":
            return self.answer(200, b"{}", "application/json")
        if elsewhere and args.challenge and path != "/token":
            there = f"http://127.0.0.2:{other.server_port}/token"
            return self.denied(f'Basic realm="mine", Bearer realm="{there}",service="theirs"')
        if self.headers.get("Range"):
            print("range", path.split("/")[-1], self.headers["Range"], file=log)
        if path == "/token":
            if args.refresh or args.post:
                return self.answer(405)
            if args.token != ":" and auth != basic(args.token):
                return self.answer(401, b'{"details":"no such user"}', "application/json")
            if "scope=repository%3A" not in self.path:
                return self.answer(400)
            return self.answer(200, b'{"token":"tok"}', "application/json")
        with lock:
            if busy and not elsewhere:
                busy -= 1
                return self.answer(args.busy_status, b"", headers=retry_after())
        if not elsewhere and args.basic and auth != basic(args.basic):
            return self.denied('Basic realm="test"')
        if not elsewhere and args.token and auth != "Bearer tok":
            name = self.path[4:].rsplit("/", 2)[0]
            return self.denied(f'Bearer realm="{self.base()}/token",service="test",scope="repository:{name}:pull"')
        what, name = path.split("/")[-2:]
        digest = name if name.startswith("sha256:") else top["digest"]
        file = f"{args.layout}/blobs/sha256/{digest[7:]}"
        if what not in ("manifests", "blobs") or args.missing or not os.path.exists(file):
            return self.answer(404, b'{"errors":[{"code":"NOT_THERE","message":"no such thing"}]}', "application/json")
        with open(file, "rb") as f:
            body = f.read()
        if what == "manifests":
            return self.answer(200, body, args.type or json.loads(body).get("mediaType", top["mediaType"]))
        if args.redirect and not elsewhere:
            return self.answer(307, b"", headers=[("Location", f"http://127.0.0.2:{other.server_port}{self.path}")])
        return self.blob(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    address_family = socket.AF_INET6 if ":" in args.host else socket.AF_INET

    def handle_error(self, *_):
        pass


server = Server((args.host, args.port), Handler)
if args.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*args.tls)
    if args.client_ca:
        context.load_verify_locations(args.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
if args.redirect:
    other = Server(("127.0.0.2", 0), Handler)
    threading.Thread(target=other.serve_forever, daemon=True).start()
print(server.server_port)
sys.stdout.close()
server.serve_forever()
