#!/usr/bin/python3
"""A proxy that reaches every name on one port of loopback: CONNECT of HTTP, and SOCKS5 with names.

    proxy.py LOG PORT [USER:PASSWORD]

Prints its own port first. LOG gets a line for each connection: "connect HOST:PORT" or
"socks5 HOST:PORT", with " refused" where the password is not the one that is wanted.
"""
import base64
import socket
import socketserver
import sys
import threading

log = open(sys.argv[1], "a", buffering=1)
target = int(sys.argv[2])
wanted = sys.argv[3] if len(sys.argv) > 3 else None


def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            if self.socks() if self.request.recv(1, socket.MSG_PEEK) == b"\5" else self.connect():
                with socket.create_connection(("127.0.0.1", target)) as there:
                    threading.Thread(target=pump, args=(there, self.request), daemon=True).start()
                    pump(self.request, there)
        except ConnectionError:
            pass

    def connect(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(self.request, 1)
        lines = head.decode().split("\r\n")
        method, where, _ = lines[0].split(" ")
        auth = [line.split(": ")[1] for line in lines if line.lower().startswith("proxy-authorization:")]
        good = method == "CONNECT" and (not wanted or auth == ["Basic " + base64.b64encode(wanted.encode()).decode()])
        print(method.lower(), where, *([] if good else ["refused"]), file=log)
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n" if good else
                             b'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n')
        return good

    def socks(self):
        """RFC 1928, and RFC 1929 with a password."""
        s = self.request
        methods = exactly(s, exactly(s, 2)[1])
        s.sendall(b"\5\2" if wanted else b"\5\0")
        if wanted and 2 not in methods:
            print("socks5 refused", file=log)
            return False
        if wanted:
            user = exactly(s, exactly(s, 2)[1]).decode()
            password = exactly(s, exactly(s, 1)[0]).decode()
            good = f"{user}:{password}" == wanted
            s.sendall(b"\1\0" if good else b"\1\1")
            if not good:
                print("socks5 refused", file=log)
                return False
        kind = exactly(s, 4)[3]
        host = exactly(s, exactly(s, 1)[0]).decode() if kind == 3 else socket.inet_ntoa(exactly(s, 4))
        print(f"socks5 {host}:{int.from_bytes(exactly(s, 2), 'big')}", file=log)
        s.sendall(b"\5\0\0\1\0\0\0\0\0\0")
        return True


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):
        pass


with Server(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
