/*
 * Log records to journald or syslog, whose Unix sockets take a datagram a record. What cannot be sent
 * is lost: a log that is full must not stop a container.
 */
#include "prog/caisson-oci/oci.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

static const struct {
	const char *prefix, *path;
} sockets[] = {
	{ "journald:", "/run/systemd/journal/socket" }, /* systemd's JOURNAL_NATIVE_PROTOCOL */
	{ "syslog:", "/dev/log" },                      /* RFC 3164, as syslog(3) writes it */
};
static bool is_journal;

int log_socket_open(const char *where, const char **ret_name, int *ret_fd, struct err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
		const char *name = str_skip_prefix(where, sockets[i].prefix);
		autofd int fd = -EBADF;

		if (!name)
			continue;
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		memcpy(a.sun_path, sockets[i].path, strlen(sockets[i].path));
		if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			return err_sys(err, errno, "--log %s: %s", where, sockets[i].path);
		is_journal = i == 0;
		*ret_name = *name ? name : "caisson-oci";
		*ret_fd = take_fd(&fd);
		return 1;
	}
	return 0;
}

static int priority_of(const char *level)
{
	static const struct {
		const char *level;
		int priority;
	} levels[] = { { "error", LOG_ERR }, { "warning", LOG_WARNING }, { "debug", LOG_DEBUG } };

	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (str_eq(level, levels[i].level))
			return levels[i].priority;
	return LOG_INFO;
}

void log_socket_write(int fd, const char *name, const char *level, const char *text)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(16384);

	if (is_journal) {
		uint64_t len = strlen(text); /* a value with its length may have newlines in it */
		uint8_t le[8];

		for (size_t i = 0; i < sizeof(le); i++)
			le[i] = (uint8_t)(len >> 8 * i);
		buf_printf(&out, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE\n", priority_of(level), name);
		buf_append(&out, le, sizeof(le));
		buf_printf(&out, "%s\n", text);
	} else {
		buf_printf(&out, "<%d>%s: %s", LOG_USER | priority_of(level), name, text);
	}
	(void)!send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}
