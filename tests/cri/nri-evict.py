"""A plugin that asks for evictions, which plugins' own library has no call for.

nri-evict.py SOCKET now ID REASON        at once, by UpdateContainers; prints what is answered
nri-evict.py SOCKET create|update ID REASON    in the answer to the next event of that kind
"""

import sys

sys.dont_write_bytecode = True
from nri_wire import admitted, answer, connect, field, frame, message, text  # noqa: E402

EVENTS = {"now": 1 << 3, "create": 1 << 3, "update": 1 << 7}
METHODS = {"create": (b"CreateContainer", 3), "update": (b"UpdateContainer", 2)}

path, when, container, reason = sys.argv[1:5]
eviction = text(1, container) + text(2, reason)
s = connect(path)
reader = admitted(s, EVENTS[when])
if when == "now":
    request = text(1, "nri.pkg.api.v1alpha1.Runtime") + text(2, "UpdateContainers") + field(3, field(2, eviction))
    s.sendall(frame(2, message(3, 1, request)))
    while True:
        lane, stream, kind, body = reader.next()
        if (lane, stream, kind) == (2, 3, 2):
            print("answered", len(body), flush=True)
            break
else:
    method, number = METHODS[when]
    answer(s, reader.call(method), field(number, eviction))
    print("asked", flush=True)
