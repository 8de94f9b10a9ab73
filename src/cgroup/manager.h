/*
 * What the systemd driver asks of the manager. All calls block, CALL_SECONDS at most; errors name
 * systemd and what it said.
 */
#pragma once

#include "dbus/dbus.h"

#define SYSTEMD_MANAGER(name)                                                                  \
	{ "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", name }

/* UNAVAILABLE when there is none. */
int systemd_open(bool user, struct dbus **ret, struct err *err);
int systemd_call(struct dbus *bus, const struct dbus_method *m, const char *signature,
		 const struct dbus_writer *body, struct dbus_message *reply, struct err *err);
/* A text of the manager's own. */
int systemd_property(struct dbus *bus, const char *name, struct arena *a, char **ret, struct err *err);

/* Signals about jobs: asked for before the call that makes one. */
int systemd_watch_jobs(struct dbus *bus, struct err *err);
/* Until the job that a reply names has ended, well or with an error. */
int systemd_wait_job(struct dbus *bus, const struct dbus_message *reply, const char *unit, const char *what,
		     struct err *err);
