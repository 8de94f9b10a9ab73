"""The plugin's side of NRI by hand, for what plugins' own library cannot say: frames, messages, answers."""

import socket
import struct


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def connect(path):
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


def text(number, s):
    return field(number, s.encode())


def admitted(s, events):
    """Registers for a mask of events, and goes as far as the answer to Synchronize."""
    reader = Reader(s)
    register(s)
    answer(s, reader.call(b"Configure"), varint(2 << 3) + varint(events))
    answer(s, reader.call(b"Synchronize"), b"")
    print("admitted", flush=True)
    return reader
