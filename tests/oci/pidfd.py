#!/usr/bin/python3
# Listens at SOCKET, takes one descriptor, and prints the message and the pid behind the pidfd.
import array, re, socket, sys

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
connection, _ = listener.accept()
text, control, _, _ = connection.recvmsg(256, 64)
fd = array.array("i", control[0][2])[0]
pid = re.search(r"^Pid:\s*(\d+)", open(f"/proc/self/fdinfo/{fd}").read(), re.M).group(1)
print(text.decode(), pid, flush=True)
