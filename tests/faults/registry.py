#!/usr/bin/env python3
"""A registry that serves one OCI layout as one repository, and misbehaves with its largest layer.

usage: registry.py PORT LAYOUT MODE      MODE: good, cut (half of it, then the connection ends),
                                         stall (half of it, then nothing), flip (one byte changed)
"""
import http.server
import json
import os
import sys
import time

port, layout, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
index = json.load(open(f"{layout}/index.json"))
manifest_digest = index["manifests"][0]["digest"]


def blob(digest):
    with open(f"{layout}/blobs/sha256/{digest.split(':')[1]}", "rb") as f:
        return f.read()


manifest = json.loads(blob(manifest_digest))
bad = max(manifest["layers"], key=lambda layer: layer["size"])["digest"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code, body=b"", kind="application/octet-stream", send=None):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if send is None else send)
            self.wfile.flush()

    def do_GET(self):
        part = self.path.rstrip("/").split("/")
        if self.path.rstrip("/") == "/v2":
            return self.answer(200, b"{}", "application/json")
        if part[-2] == "manifests":
            return self.answer(200, blob(manifest_digest), index["manifests"][0]["mediaType"])
        if part[-2] == "blobs" and os.path.exists(f"{layout}/blobs/sha256/{part[-1][7:]}"):
            body = blob(part[-1])
            if part[-1] != bad or mode == "good":
                return self.answer(200, body)
            if mode == "flip":
                return self.answer(200, body[:100] + bytes([body[100] ^ 1]) + body[101:])
            self.answer(200, body, send=body[: len(body) // 2])
            if mode == "stall":
                time.sleep(1000)
            self.close_connection = True
            return None
        return self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', "application/json")

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
