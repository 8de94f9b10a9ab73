"""A plugin that does not keep to the protocol: nri-nasty.py SOCKET CASE. Prints what became of it."""

import os
import socket
import struct
import sys
import time

path, case = sys.argv[1:3]


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(12)
    s.connect(path)
    return s


def frame(lane, data):
    return struct.pack(">II", lane, len(data)) + data


def message(stream, kind, body):
    return struct.pack(">IIBB", len(body), stream, kind, 1) + body


def register(s, name=b"nasty", index=b"66"):
    request = field(1, b"nri.pkg.api.v1alpha1.Runtime") + field(2, b"RegisterPlugin") + field(
        3, field(1, name) + field(2, index))
    s.sendall(frame(2, message(1, 1, request)))


class Reader:
    """Messages of either lane."""

    def __init__(self, s):
        self.s, self.lanes = s, {}

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def next(self):
        while True:
            for lane, data in self.lanes.items():
                if len(data) >= 10:
                    length, stream, kind, _ = struct.unpack(">IIBB", data[:10])
                    if len(data) >= 10 + length:
                        self.lanes[lane] = data[10 + length:]
                        return lane, stream, kind, data[10:10 + length]
            lane, length = struct.unpack(">II", self.exactly(8))
            self.lanes[lane] = self.lanes.get(lane, b"") + self.exactly(length)

    def call(self, method):
        """The next call of the daemon, which is to be that."""
        while True:
            lane, stream, kind, body = self.next()
            if lane == 1 and kind == 1:
                assert method in body, (method, body[:80])
                return stream


def answer(s, stream, payload):
    s.sendall(frame(1, message(stream, 2, field(2, payload))))


def admitted(s):
    reader = Reader(s)
    register(s)
    answer(s, reader.call(b"Configure"), varint(2 << 3) + varint(1 << 3))  # CreateContainer
    answer(s, reader.call(b"Synchronize"), b"")
    print("admitted", flush=True)
    return reader


def closed(s):
    begun = time.monotonic()
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    except socket.timeout:
        return print("still open")
    # bytes that do not come are waited for as long as a registration may take
    print("closed" if time.monotonic() - begun < 9 else "closed late")


def wrong_name(s, name, index):
    register(s, name, index)
    _, _, kind, body = Reader(s).next()
    assert kind == 2 and b"plugin_" in body, body


s = connect()
if case == "length":
    s.sendall(struct.pack(">II", 2, 0xFFFFFFFF))
elif case == "message":  # a frame that may be, of a message that may not
    s.sendall(frame(2, struct.pack(">IIBB", 0xFFFFFFFF, 1, 1, 1)))
elif case == "nobody":  # lanes that nobody has
    for lane in range(3, 40):
        s.sendall(frame(lane, bytes(4 << 20)))
elif case == "names":
    for i, (name, index) in enumerate([(b"", b"10"), (b"a/b", b"10"), (b"x" * 500, b"10"), (b"ok", b"1"),
                                       (b"ok", b"ab"), (b"ok", b"123")]):
        wrong_name(connect(), name, index)
elif case == "configure":
    reader = Reader(s)
    register(s)
    answer(s, reader.call(b"Configure"), varint(2 << 3) + varint(0x7FFFFFFF))
elif case == "garbage":
    reader = Reader(s)
    register(s)
    reader.call(b"Configure")
    s.sendall(frame(1, os.urandom(4096)))
elif case == "create-nonsense":
    reader = admitted(s)
    answer(s, reader.call(b"CreateContainer"), b"\x0a\xff\xff\xff\xff\x0f")
elif case == "create-huge":  # more of everything than there may be
    reader = admitted(s)
    env = field(4, field(1, b"A") + field(2, b"1"))
    answer(s, reader.call(b"CreateContainer"), field(1, env * 5000))
elif case == "silent-after":
    reader = admitted(s)
    reader.call(b"CreateContainer")
elif case == "crowd":
    crowd = [connect() for _ in range(90)]
    time.sleep(0.5)
closed(s)
