"""A plugin that does not keep to the protocol: nri-nasty.py SOCKET CASE. Prints what became of it."""

import os
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
from nri_wire import Reader, admitted, answer, connect, field, frame, message, register, varint  # noqa: E402

CREATE_CONTAINER = 1 << 3
path, case = sys.argv[1:3]


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


s = connect(path)
if case == "silent":
    pass
elif case == "length":
    s.sendall(struct.pack(">II", 2, 0xFFFFFFFF))
elif case == "message":  # a frame that may be, of a message that may not
    s.sendall(frame(2, struct.pack(">IIBB", 0xFFFFFFFF, 1, 1, 1)))
elif case == "nobody":  # lanes that nobody has
    for lane in range(3, 40):
        s.sendall(frame(lane, bytes(4 << 20)))
elif case == "names":
    for i, (name, index) in enumerate([(b"", b"10"), (b"a/b", b"10"), (b"x" * 500, b"10"), (b"ok", b"1"),
                                       (b"ok", b"ab"), (b"ok", b"123")]):
        wrong_name(connect(path), name, index)
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
    reader = admitted(s, CREATE_CONTAINER)
    answer(s, reader.call(b"CreateContainer"), b"\x0a\xff\xff\xff\xff\x0f")
elif case == "create-huge":  # more of everything than there may be
    reader = admitted(s, CREATE_CONTAINER)
    env = field(4, field(1, b"A") + field(2, b"1"))
    answer(s, reader.call(b"CreateContainer"), field(1, env * 5000))
elif case == "silent-after":
    reader = admitted(s, CREATE_CONTAINER)
    reader.call(b"CreateContainer")
elif case == "crowd":
    crowd = [connect(path) for _ in range(90)]
    time.sleep(0.5)
closed(s)
