/*
 * systemd's manager, the system's or a user's, over D-Bus. Any process, one thread.
 *
 * It is spoken to over its private socket, where it listens even when no message bus runs; the
 * bus is the second try.
 */
#include "cgroup/manager.h"

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

enum { CALL_SECONDS = 30 };

static const struct dbus_method subscribe = SYSTEMD_MANAGER("Subscribe"),
				get_property = { "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
						 "org.freedesktop.DBus.Properties", "Get" };

static int64_t deadline(void)
{
	return time_now_mono() + CALL_SECONDS * NSEC_PER_SEC;
}

static int connect_bus(bool user, struct dbus **ret, struct err *err)
{
	static const struct {
		const char *variable;
		const char *path; /* of the system's; of the user's below XDG_RUNTIME_DIR */
		const char *user_path;
		enum dbus_kind kind;
	} tries[] = {
		{ NULL, "/run/systemd/private", "/systemd/private", DBUS_PEER },
		{ "DBUS_SYSTEM_BUS_ADDRESS", "/run/dbus/system_bus_socket", "/bus", DBUS_BUS },
	};
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int r = -EIO;

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		const char *given = tries[i].variable ? getenv(user ? "DBUS_SESSION_BUS_ADDRESS" :
							       tries[i].variable) : NULL;
		autofree char *address = NULL;
		struct err this = ERR_INIT;

		if (!str_empty(given))
			address = mem_strdup(given);
		else if (!user)
			address = mem_printf("unix:path=%s", tries[i].path);
		else if (!str_empty(runtime))
			address = mem_printf("unix:path=%s%s", runtime, tries[i].user_path);
		else
			return err_set(err, ERR_UNAVAILABLE,
				       "the user's systemd: XDG_RUNTIME_DIR is not set");
		r = dbus_open(address, tries[i].kind, deadline(), ret, &this);
		if (r == 0)
			return 0;
		/* the first says more: the second is there for those who may not use it */
		if (i == 0 || this.kind != ERR_UNAVAILABLE) {
			if (err)
				*err = this;
		}
	}
	return err_wrap(err, r, "%s", user ? "the user's systemd" : "systemd");
}

int systemd_open(bool user, struct dbus **ret, struct err *err)
{
	int r = connect_bus(user, ret, err);

	if (r < 0 && err && err->kind == ERR_UNAVAILABLE) {
		size_t n = strlen(err->text);

		snprintf(err->text + n, sizeof(err->text) - n, " (is systemd running?)");
	}
	return r;
}

int systemd_call(struct dbus *bus, const struct dbus_method *m, const char *signature,
		const struct dbus_writer *body, struct dbus_message *reply, struct err *err)
{
	int r = dbus_call(bus, m, signature, body, deadline(), reply, err);

	return r < 0 ? err_wrap(err, r, "systemd") : 0;
}

/* A peer gets them without asking. */
int systemd_watch_jobs(struct dbus *bus, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	int r = dbus_watch(bus, "org.freedesktop.systemd1.Manager", "JobRemoved", deadline(), err);

	if (r < 0)
		return err_wrap(err, r, "systemd");
	return systemd_call(bus, &subscribe, "", NULL, &reply, err);
}

int systemd_wait_job(struct dbus *bus, const struct dbus_message *reply, const char *unit, const char *what,
		    struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;
	struct dbus_reader r;
	int64_t until = deadline();
	const char *job, *path, *result;
	int e;

	dbus_reader_init(&r, reply);
	job = dbus_get_string(&r);
	if (dbus_reader_failed(&r))
		return err_set(err, ERR_CORRUPT, "systemd: %s %s: an answer without a job", what, unit);
	for (;;) {
		e = dbus_next_signal(bus, until, &m, err);
		if (e < 0)
			return err_wrap(err, e, "systemd: %s %s", what, unit);
		dbus_reader_init(&r, &m);
		dbus_get_u32(&r);
		path = dbus_get_string(&r);
		if (!str_eq(path, job))
			continue;
		dbus_get_string(&r);
		result = dbus_get_string(&r);
		if (str_eq(result, "done"))
			return 0;
		return err_set(err, ERR_STATE, "systemd: %s %s: the job's result is \"%.32s\"", what, unit,
			       result);
	}
}

int systemd_property(struct dbus *bus, const char *name, struct arena *a, char **ret, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	struct dbus_reader r;
	const char *text;
	int e;

	dbus_put_string(&body, "org.freedesktop.systemd1.Manager");
	dbus_put_string(&body, name);
	e = systemd_call(bus, &get_property, "ss", &body, &reply, err);
	if (e < 0)
		return e;
	dbus_reader_init(&r, &reply);
	dbus_get_variant(&r, "s");
	text = dbus_get_string(&r);
	if (dbus_reader_failed(&r))
		return err_set(err, ERR_CORRUPT, "systemd: %s is no text", name);
	*ret = arena_strdup(a, text);
	return 0;
}
