/*
 * Errors and warnings as engines read them: runc's log records, text or JSON, one a line,
 * to --log or stderr; a fatal error is also for the person at the terminal.
 */
#include "prog/caisson-oci/oci.h"

#include "json/json.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

static int log_fd = 2, log_socket = -EBADF;
static const char *log_name; /* at the socket */
static bool log_json, errors_only;

static void warn(const char *text, void *user)
{
	report("warning", text);
}

int report_open(struct global *g, struct err *err)
{
	const char *path = g->log;
	int r;

	if (str_eq(g->log_format, "json"))
		log_json = true;
	else if (!str_empty(g->log_format) && !str_eq(g->log_format, "text"))
		return err_set(err, ERR_INVALID, "invalid log-format: %s", g->log_format);
	if (str_eq(g->log_level, "debug"))
		g->debug = true;
	else if (str_eq(g->log_level, "error"))
		errors_only = true;
	else if (g->log_level && !str_eq(g->log_level, "warning"))
		return err_set(err, ERR_INVALID, "--log-level: \"%s\" is none of error, warning, debug",
			       g->log_level);
	runtime_on_warning(warn, NULL);
	if (str_empty(path))
		return 0;
	r = log_socket_open(path, &log_name, &log_socket, err);
	if (r)
		return r < 0 ? r : 0;
	path = str_skip_prefix(path, "file:") ? path + 5 : path;
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (log_fd < 0) {
		log_fd = 2;
		return err_sys(err, errno, "open log %s", path);
	}
	return 0;
}

void report(const char *level, const char *text)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(16384);
	char when[TIME_TEXT_MAX];
	time_t now = time(NULL);
	struct tm tm;

	if (errors_only && str_eq(level, "warning"))
		return;
	if (log_socket >= 0) {
		log_socket_write(log_socket, log_name, level, text);
		return;
	}
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (log_json) {
		buf_printf(&out, "{\"level\":\"%s\",\"msg\":", level);
		json_put_string(&out, text);
		buf_printf(&out, ",\"time\":\"%s\"}\n", when);
	} else {
		buf_printf(&out, "time=\"%s\" level=%s msg=", when, level);
		json_put_string(&out, text);
		buf_puts(&out, "\n");
	}
	sys_write_all(log_fd, out.data, out.len);
}

void report_fatal(const struct global *g, const char *command, const struct err *err)
{
	char text[ERR_TEXT_MAX + 64];

	snprintf(text, sizeof(text), "%s%s%s%s", command, *command ? " failed: " : "", err->text, "");
	report("error", text);
	if (log_fd != 2 || log_socket >= 0)
		dprintf(2, "%s %s\n", g->program, text);
}
