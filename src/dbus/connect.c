/*
 * From an address to a connection that calls can go over: socket, authentication, Hello.
 * Blocks up to the deadline. Any process.
 *
 * Only EXTERNAL is spoken, and no name is given: the peer asks the kernel who we are. A
 * number would be wrong inside a user namespace, where ours is not the one that the peer sees.
 */
#include "dbus/internal.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { LINE_MAX_BYTES = 4096 };

/* ---- bytes ----------------------------------------------------------------------------------- */

static int wait_for(struct dbus *bus, short events, int64_t deadline, struct err *err)
{
	struct pollfd p = { .fd = bus->fd, .events = events };
	int r;

	while ((r = poll(&p, 1, time_poll_ms(deadline))) < 0 && errno == EINTR)
		;
	if (r == 0)
		return err_set(err, ERR_TIMEOUT, "no answer in time");
	return r < 0 ? err_sys(err, errno, "poll") : 0;
}

int dbus_send(struct dbus *bus, const void *data, size_t len, int64_t deadline, struct err *err)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = send(bus->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			int r = wait_for(bus, POLLOUT, deadline, err);

			if (r < 0) {
				bus->broken = true;
				return r;
			}
			continue;
		}
		if (n < 0) {
			bus->broken = true;
			return err_sysk(err, ERR_UNAVAILABLE, errno, "send");
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int dbus_receive(struct dbus *bus, int64_t deadline, struct err *err)
{
	for (;;) {
		ssize_t n = buf_read_fd(&bus->in, bus->fd, 16384);
		int r;

		if (n > 0)
			return 0;
		if (n == 0) {
			bus->broken = true;
			return err_set(err, ERR_UNAVAILABLE, "the other end closed the connection");
		}
		if (n == -EINTR)
			continue;
		if (n != -EAGAIN) {
			bus->broken = true;
			return err_sysk(err, ERR_UNAVAILABLE, (int)n, "receive");
		}
		r = wait_for(bus, POLLIN, deadline, err);
		if (r < 0)
			return r;
	}
}

/* ---- addresses --------------------------------------------------------------------------------- */

/* "%2f" → "/": 0 or -EINVAL. */
static int unescape(const char *from, size_t n, char *out, size_t size)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		char c = from[i];

		if (c == '%') {
			char digits[3] = { i + 1 < n ? from[i + 1] : 0, i + 2 < n ? from[i + 2] : 0, 0 };
			uint32_t v;

			if (!digits[1] || str_to_u32(digits, 16, &v) < 0 || !v)
				return -EINVAL;
			c = (char)v;
			i += 2;
		}
		if (k + 1 >= size)
			return -EINVAL;
		out[k++] = c;
	}
	out[k] = '\0';
	return (int)k;
}

/* One address of n characters: the length of *ret, or -EINVAL when it is not a Unix socket. */
static int parse_address(const char *text, size_t n, struct sockaddr_un *ret)
{
	static const char *const keys[] = { "path=", "abstract=" };
	const char *end = text + n, *p = str_skip_prefix(text, "unix:");

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	while (p && p < end) {
		size_t len = strcspn(p, ",;");

		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			const char *value = str_skip_prefix(p, keys[k]);
			int r;

			if (!value || value > p + len)
				continue;
			r = unescape(value, (size_t)(p + len - value), ret->sun_path + k,
				     sizeof(ret->sun_path) - k);
			if (r <= 0)
				return -EINVAL;
			return (int)(offsetof(struct sockaddr_un, sun_path) + (size_t)r + 1);
		}
		p += len + 1;
	}
	return -EINVAL;
}

static int connect_one(struct dbus *bus, const char *text, size_t n, int64_t deadline, struct err *err)
{
	struct sockaddr_un a;
	int len = parse_address(text, n, &a);

	if (len < 0)
		return err_set(err, ERR_INVALID, "%.*s: no Unix socket's address", (int)n, text);
	fd_drop(&bus->fd);
	bus->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bus->fd < 0)
		return err_sys(err, errno, "socket");
	/* EAGAIN: the backlog is full, and poll does not tell when it is no longer */
	while (connect(bus->fd, (struct sockaddr *)&a, (socklen_t)len) < 0) {
		if (errno != EAGAIN || time_now_mono() >= deadline)
			return err_sysk(err, ERR_UNAVAILABLE, errno, "connect to %.*s", (int)n, text);
		usleep(1000);
	}
	return 0;
}

/* ---- authentication ----------------------------------------------------------------------------- */

static int read_line(struct dbus *bus, char *out, size_t size, int64_t deadline, struct err *err)
{
	for (;;) {
		const uint8_t *end = bus->in.len ? memchr(bus->in.data, '\n', bus->in.len) : NULL;
		size_t n;
		int r;

		if (!end && bus->in.len >= LINE_MAX_BYTES)
			return err_set(err, ERR_CORRUPT, "authentication: an answer without end");
		if (!end) {
			r = dbus_receive(bus, deadline, err);
			if (r < 0)
				return r;
			continue;
		}
		n = (size_t)(end - bus->in.data);
		snprintf(out, size, "%.*s", (int)n, (const char *)bus->in.data);
		out[strcspn(out, "\r")] = '\0';
		buf_consume(&bus->in, n + 1);
		return 0;
	}
}

static int authenticate(struct dbus *bus, int64_t deadline, struct err *err)
{
	/* The byte that carries credentials where those need one, and everything that we shall
	 * ever say, at once. BEGIN must not come in one piece with the first message: systemd
	 * reads both then, and waits for more before it looks at the second. */
	static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	char line[256];
	int r = dbus_send(bus, hello, sizeof(hello) - 1, deadline, err);

	if (r == 0)
		r = read_line(bus, line, sizeof(line), deadline, err);
	if (r == 0 && str_eq(line, "DATA"))
		r = read_line(bus, line, sizeof(line), deadline, err);
	if (r < 0)
		return r;
	if (str_skip_prefix(line, "OK "))
		return 0;
	if (str_skip_prefix(line, "REJECTED") || str_skip_prefix(line, "ERROR"))
		return err_set(err, ERR_DENIED, "authentication was refused");
	return err_set(err, ERR_CORRUPT, "authentication: \"%.64s\" is no answer", line);
}

static int say_hello(struct dbus *bus, int64_t deadline, struct err *err)
{
	static const struct dbus_method hello = { "org.freedesktop.DBus", "/org/freedesktop/DBus",
						  "org.freedesktop.DBus", "Hello" };
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;

	return bus->kind == DBUS_PEER ? 0 : dbus_call(bus, &hello, "", NULL, deadline, &reply, err);
}

int dbus_open(const char *address, enum dbus_kind kind, int64_t deadline, struct dbus **ret, struct err *err)
{
	CLEANUP(dbus_freep) struct dbus *bus = mem_new(1, sizeof(*bus));
	int r = -EINVAL;

	bus->fd = -EBADF;
	bus->kind = kind;
	bus->in = (struct buf)BUF_INIT(DBUS_MESSAGE_BYTES_MAX + 65536);
	bus->watch_interface = bus->watch_member = "";
	for (const char *p = address; r < 0; p++) {
		size_t n = strcspn(p, ";");

		err_clear(err);
		r = connect_one(bus, p, n, deadline, err);
		p += n;
		if (!*p)
			break;
	}
	if (r == 0)
		r = authenticate(bus, deadline, err);
	if (r == 0)
		r = say_hello(bus, deadline, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&bus);
	return 0;
}

void dbus_free(struct dbus *bus)
{
	if (!bus)
		return;
	for (size_t i = 0; i < bus->n_signals; i++)
		dbus_message_done(&bus->signals[i]);
	free(bus->signals);
	buf_done(&bus->in);
	fd_drop(&bus->fd);
	free(bus);
}
