#!/usr/bin/env python3
"""A client of streaming URLs by hand, for what crictl does not do: WebSocket with channels, many at once.

	streams.py CASE CRI-CALL SOCKET ID [ARG...]

Runs in the daemon's network namespace. CASE is a function below; it exits 0 when all it asserts
holds. ID is a container's, or a pod's for port-forward.
"""
import base64, hashlib, json, os, select, socket, struct, subprocess, sys, threading, time

call, sock, target = sys.argv[2:5]
args = sys.argv[5:]
IN, OUT, ERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


def field(number, value):
	"""One protobuf field: a number, or bytes with their length."""
	def varint(n):
		out = b""
		while n > 127:
			out, n = out + bytes([n & 127 | 128]), n >> 7
		return out + bytes([n])
	if isinstance(value, int):
		return varint(number << 3) + varint(value)
	return varint(number << 3 | 2) + varint(len(value)) + value


def rpc(method, request):
	return subprocess.run([call, sock, "/runtime.v1.RuntimeService/" + method], input=request,
			      stdout=subprocess.PIPE, check=True).stdout


def exec_url(cmd, tty=False, stdin=True, stderr=False):
	request = field(1, target.encode()) + b"".join(field(2, c.encode()) for c in cmd)
	request += field(3, int(tty)) + field(4, int(stdin)) + field(5, 1) + field(6, int(stderr))
	return rpc("Exec", request)[2:].decode()


def attach_url(container):
	"""To its terminal."""
	return rpc("Attach", field(1, container.encode()) + field(2, 1) + field(3, 1) + field(4, 1))[2:].decode()


class Stream:
	"""A WebSocket on which each message begins with the number of its channel."""

	def __init__(self, url, protocol="v5.channel.k8s.io"):
		host, path = url[len("http://"):].split("/", 1)
		address, port = host.rsplit(":", 1)
		self.s = socket.create_connection((address, int(port)), timeout=60)
		key = base64.b64encode(os.urandom(16)).decode()
		self.s.sendall((f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
				f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
				f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n").encode())
		self.buf = b""
		while b"\r\n\r\n" not in self.buf:
			self.fill()
		head, self.buf = self.buf.split(b"\r\n\r\n", 1)
		self.code = int(head.split()[1])
		if self.code == 101:
			digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
			assert base64.b64encode(digest) in head, head
			assert protocol.encode() in head, head

	def fill(self):
		data = self.s.recv(1 << 20)
		if not data:
			raise EOFError
		self.buf += data

	def send(self, channel, data=b"", mask=b"\0\0\0\0"):
		payload = bytes([channel]) + data
		if mask != b"\0\0\0\0":
			payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
		n = len(payload)
		head = bytes([0x82]) + (bytes([128 | n]) if n < 126 else
					bytes([254]) + struct.pack(">H", n) if n < 65536 else
					bytes([255]) + struct.pack(">Q", n))
		self.s.sendall(head + mask + payload)

	def frame(self):
		"""(opcode, payload) of the next frame."""
		def need(n):
			while len(self.buf) < n:
				self.fill()
		need(2)
		n, at = self.buf[1] & 127, 2
		if n > 125:
			size = 2 if n == 126 else 8
			need(2 + size)
			n, at = int.from_bytes(self.buf[2:2 + size], "big"), 2 + size
		need(at + n)
		opcode, payload, self.buf = self.buf[0] & 15, self.buf[at:at + n], self.buf[at + n:]
		return opcode, payload

	def messages(self):
		"""(channel, data) until the server closes; what is empty is left out."""
		while True:
			try:
				opcode, payload = self.frame()
			except (EOFError, ConnectionResetError):
				return
			if opcode == 8:
				return
			if opcode == 2 and len(payload) > 1:
				yield payload[0], payload[1:]

	def rest(self):
		"""What all channels have until the end: a dictionary."""
		got = {}
		for channel, data in self.messages():
			got[channel] = got.get(channel, b"") + data
		return got

	def until(self, text, channel=OUT):
		got = b""
		for ch, data in self.messages():
			if ch == channel:
				got += data
			if text in got:
				return got
		raise AssertionError(f"no {text} in {got[-200:]}")

	def close(self):
		self.s.close()


def exit_code(got):
	status = json.loads(got[STATUS])
	if status["status"] == "Success":
		return 0
	return int(next(c["message"] for c in status["details"]["causes"] if c["reason"] == "ExitCode"))


# ---- cases ----

def half_close():
	"""v5: the end of stdin alone; the command goes on, and its output and exit code arrive after it."""
	s = Stream(exec_url(["sh", "-c", "cat; echo after; echo err >&2; exit 7"], stderr=True))
	s.send(IN, b"hello\n", mask=os.urandom(4))
	assert s.until(b"hello\n") == b"hello\n"
	s.send(IN, b"and more\n")
	s.send(CLOSE, bytes([IN]))
	got = s.rest()
	assert got[OUT] == b"and more\nafter\n", got
	assert got[ERR] == b"err\n", got
	assert exit_code(got) == 7, got
	# twice, and of channels that have no end to be told: no harm
	s = Stream(exec_url(["cat"]))
	for channel in (OUT, RESIZE, 77, IN, IN):
		s.send(CLOSE, bytes([channel]))
	s.send(IN, b"too late")
	assert exit_code(s.rest()) == 0


def no_half_close():
	"""v4 has no half-close: channel 255 says nothing there, and stdin ends with the connection."""
	s = Stream(exec_url(["cat"]), "v4.channel.k8s.io")
	s.send(CLOSE, bytes([IN]))
	s.send(IN, b"still open\n")
	assert s.until(b"still open\n")
	s.close()


def exit_codes():
	for protocol in ("v4.channel.k8s.io", "v5.channel.k8s.io"):
		for code in (0, 1, 126, 255):
			s = Stream(exec_url(["sh", "-c", f"exit {code}"], stdin=False), protocol)
			assert exit_code(s.rest()) == code
		assert exit_code(Stream(exec_url(["sh", "-c", "kill -9 $$"], stdin=False), protocol).rest()) == 137


def resize():
	s = Stream(exec_url(["sh"], tty=True))
	for columns, rows in ((77, 33), (200, 60), (40, 10)):
		s.send(RESIZE, json.dumps({"Width": columns, "Height": rows}).encode())
		s.send(IN, f"while [ \"$(stty size)\" != '{rows} {columns}' ]; do sleep 0.05; done; echo is-{rows}-$((0))\n".encode())
		s.until(f"is-{rows}-0".encode())
	s.send(IN, b"exit\n") # the end of input is lost on a terminal that a shell is just making raw
	s.rest()


def typing():
	"""ARG: a container with a terminal. What is typed comes back from the terminal at once, key by key."""
	for what, url in ("exec", exec_url(["cat"], tty=True)), ("attach", attach_url(args[0])):
		s, times = Stream(url), []
		for i in range(200):
			key = b"abcdefghijklmnopqrstuvwxyz"[i % 26:i % 26 + 1]
			begin = time.monotonic()
			s.send(IN, key)
			s.until(key)
			times.append(time.monotonic() - begin)
		times.sort()
		print(f"# {what}: a key is there and back in {times[100] * 1000:.2f} ms, the slowest of 200 in {times[-1] * 1000:.2f} ms")
		# what one feels begins at a tenth of a second
		assert times[100] < 0.05, times
		s.close()


def once():
	url = exec_url(["true"])
	first = Stream(url)
	assert first.code == 101
	assert Stream(url).code == 404, "the same URL twice"
	assert exit_code(first.rest()) == 0
	assert Stream(url).code == 404, "the same URL after its end"
	# two at the same moment: one of them is served
	url = exec_url(["true"])
	assert sorted(Stream(url).code for _ in range(5)) == [101, 404, 404, 404, 404]


def expiry():
	"""ARG: how long a URL waits here, in seconds."""
	begin = time.monotonic()
	early, late = exec_url(["echo", "in time"]), exec_url(["true"])
	assert Stream(early).until(b"in time\n")
	while time.monotonic() < begin + float(args[0]):
		time.sleep(0.1)
	# what is asked for now came after it
	time.sleep(0.3)
	assert Stream(late).code == 404, "older than it may be"


def idle():
	"""ARG: how long a connection may be idle here, in seconds."""
	limit = float(args[0])
	quiet, begin = Stream(exec_url(["sleep", "54321"])), time.monotonic()
	busy = Stream(exec_url(["cat"]))
	other = Stream(exec_url(["sh", "-c", "while :; do echo x; sleep 0.1; done"]))
	ended = None
	while time.monotonic() < begin + 3 * limit:
		busy.send(IN, b"x")
		for s in select.select([quiet.s, busy.s, other.s], [], [], 0.1)[0]:
			if s.recv(65536):
				continue
			assert s is quiet.s, "cut though it was not idle"
			ended = ended or time.monotonic() - begin
		if ended:
			break
	assert ended and ended > 0.9 * limit, ended
	busy.send(CLOSE, bytes([IN]))
	assert exit_code(busy.rest()) == 0
	other.close()


def many():
	"""ARG: how many execs at once; each gets back its own words, and only those."""
	n = int(args[0])
	streams = []
	for i in range(n):
		streams.append(Stream(exec_url(["cat"])))
		streams[i].send(IN, f"hello {i}\n".encode())
		# it runs: a slow machine starts one at a time, and then all of them run
		assert streams[i].until(b"\n") == f"hello {i}\n".encode()
	for i, s in enumerate(streams):
		s.send(IN, f"words of {i}\n".encode() * 100)
	for s in streams:
		s.send(CLOSE, bytes([IN]))
	for i, s in enumerate(streams):
		got = s.rest()
		assert got.get(OUT) == f"words of {i}\n".encode() * 100, (i, got)
		assert exit_code(got) == 0


def pss(pid):
	return next(int(l.split()[1]) for l in open(f"/proc/{pid}/smaps_rollup") if l.startswith("Pss:"))


def flood():
	"""ARGS: pid of the daemon, MiB. Output that is not read is not made; who does not read costs the daemon
	less than 4 MiB and delays nobody; when it is read, not a byte is missing."""
	pid, size = int(args[0]), int(args[1]) << 20
	sanitized = "libasan" in open(f"/proc/{pid}/maps").read()
	quick(), quick()
	before = pss(pid)
	alone = quick()
	s = Stream(exec_url(["sh", "-c", f"head -c {size} /dev/zero"], stdin=False))
	time.sleep(0.5)
	times = sorted(quick() for _ in range(5))
	more = pss(pid) - before
	total, begin = 0, time.monotonic()
	for channel, data in s.messages():
		if channel == OUT:
			total += len(data)
			assert not data.strip(b"\0")
		else:
			assert json.loads(data)["status"] == "Success", data
	seconds = time.monotonic() - begin
	print(f"# an exec beside a reader that stands still: {times[2] * 1000:.1f} ms, alone {alone * 1000:.1f} ms; "
	      f"the daemon {more} KiB larger; {size >> 20} MiB then in {seconds:.2f} s")
	assert total == size, (total, size)
	assert sanitized or more < 4096, more
	# who waits for that reader waits for ever: nobody does, however busy the machine
	assert times[0] < max(1, 3 * alone), (times, alone)
	quick()


def quick():
	"""Seconds that an exec of echo takes."""
	begin = time.monotonic()
	assert Stream(exec_url(["echo", "quick"], stdin=False)).rest()[OUT] == b"quick\n"
	return time.monotonic() - begin


def beside():
	"""ARGS: pid of the daemon, a file: until that is there, execs one after the other are served without delay,
	and the daemon grows by less than 4 MiB."""
	pid, over = int(args[0]), args[1]
	sanitized = "libasan" in open(f"/proc/{pid}/maps").read()
	quick()
	before, most, times = pss(pid), 0, []
	while not times or not os.path.exists(over):
		times.append(quick())
		most = max(most, pss(pid))
		time.sleep(0.05)
	times.sort()
	print(f"{len(times)} execs beside it, median {times[len(times) // 2] * 1000:.1f} ms, longest {times[-1] * 1000:.1f} ms; "
	      f"the daemon {most - before} KiB larger")
	assert sanitized or most - before < 4096, most - before
	# who waits for the end of gigabytes waits for minutes; a busy machine with sanitizers takes a second
	assert times[len(times) // 2] < 5, times


def pipe():
	"""ARG: port: standard input to it, until its end, and what comes back to standard output."""
	s = socket.create_connection(("127.0.0.1", int(args[0])), timeout=60)

	def there():
		while data := sys.stdin.buffer.raw.read(1 << 18):
			s.sendall(data)
		s.shutdown(socket.SHUT_WR)
	sender = threading.Thread(target=there)
	sender.start()
	while data := s.recv(1 << 18):
		sys.stdout.buffer.write(data)
	sender.join()


def connections():
	"""ARGS: port, how many TCP connections at once: all are open before the first one is used."""
	port, n = int(args[0]), int(args[1])
	all = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(n)]
	for s in all:
		s.sendall(b"GET / HTTP/1.0\r\n\r\n")
	for s in all:
		got = b""
		while True:
			data = s.recv(65536)
			if not data:
				break
			got += data
		assert b"out of a container" in got, got


globals()[sys.argv[1]]()
