/*
 * Cgroups that systemd makes: a transient scope in a slice. Any process, one thread.
 *
 * A scope cannot be made empty, and goes away when it becomes empty. But the container's
 * process is to be born inside, with its limits in force. So a process that does nothing, the
 * holder, is what systemd gets; it ends when the caller lets go of the cgroup, after its own
 * process is inside. When the caller is killed before that the holder dies with it, and
 * systemd takes the scope away.
 */
#include "cgroup/driver.h"
#include "cgroup/manager.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const struct dbus_method start_transient_unit = SYSTEMD_MANAGER("StartTransientUnit"),
				set_unit_properties = SYSTEMD_MANAGER("SetUnitProperties"),
				attach_processes = SYSTEMD_MANAGER("AttachProcessesToUnit"),
				stop_unit = SYSTEMD_MANAGER("StopUnit"),
				reset_failed_unit = SYSTEMD_MANAGER("ResetFailedUnit");

int cgroup_unit_path(const struct cgroup_unit *unit, struct arena *a, char **ret, struct err *err)
{
	CLEANUP(dbus_freep) struct dbus *bus = NULL;
	char *slice = NULL, *own = NULL;
	size_t n;
	int r;

	r = cgroup_slice_path(unit->slice, a, &slice, err);
	if (r == 0)
		r = systemd_open(unit->user, &bus, err);
	if (r == 0)
		r = systemd_property(bus, "ControlGroup", a, &own, err);
	if (r < 0)
		return r;
	for (n = strlen(own); n && own[n - 1] == '/'; n--)
		own[n - 1] = '\0';
	*ret = arena_printf(a, "%s%s/%s", own, slice, unit->name);
	return cgroup_path_check(*ret, err);
}

/* ---- properties --------------------------------------------------------------------------------- */

static void put_property(struct dbus_writer *w, const struct cgroup_property *p)
{
	size_t list;

	dbus_struct_begin(w);
	dbus_put_string(w, p->name);
	dbus_variant_begin(w, p->type);
	if (str_eq(p->type, "b")) {
		dbus_put_bool(w, p->number);
	} else if (str_eq(p->type, "i") || str_eq(p->type, "u")) {
		dbus_put_u32(w, (uint32_t)p->number);
	} else if (str_eq(p->type, "t")) {
		dbus_put_u64(w, p->number);
	} else if (str_eq(p->type, "s")) {
		dbus_put_string(w, p->text);
	} else if (str_eq(p->type, "ay")) {
		dbus_put_bytes(w, p->bytes, p->n_bytes);
	} else if (str_eq(p->type, "as")) {
		list = dbus_array_begin(w, 's');
		for (size_t i = 0; i < p->n_texts; i++)
			dbus_put_string(w, p->texts[i]);
		dbus_array_end(w, list);
	} else {
		assert(str_eq(p->type, "a(ss)"));
		list = dbus_array_begin(w, '(');
		for (size_t i = 0; i + 1 < p->n_texts; i += 2) {
			dbus_struct_begin(w);
			dbus_put_string(w, p->texts[i]);
			dbus_put_string(w, p->texts[i + 1]);
		}
		dbus_array_end(w, list);
	}
}

static void put_number(struct dbus_writer *w, const char *name, const char *type, uint64_t v)
{
	put_property(w, &(struct cgroup_property){ .name = name, .type = type, .number = v });
}

static void put_text(struct dbus_writer *w, const char *name, const char *v)
{
	put_property(w, &(struct cgroup_property){ .name = name, .type = "s", .text = v });
}

/* With the holder inside so many processes are needed until the container's own runs: a lower
 * limit comes when the holder has gone. */
enum { TASKS_LEAST = 4 };

static bool is_late(const struct cgroup_property *p)
{
	return str_eq(p->name, "TasksMax") && p->number < TASKS_LEAST;
}

static bool asked_for(const struct cgroup_unit *unit, const char *name)
{
	for (size_t i = 0; i < unit->n_properties; i++)
		if (str_eq(unit->properties[i].name, name))
			return true;
	return false;
}

/* a(sv) of StartTransientUnit */
static void put_unit(struct dbus_writer *w, const struct cgroup_unit *unit, const struct cgroup_plan *plan,
		     pid_t holder)
{
	static const char *const accounting[] = { "CPUAccounting", "MemoryAccounting", "IOAccounting",
						  "TasksAccounting" };
	bool slice = str_has_suffix(unit->name, ".slice");
	size_t list = dbus_array_begin(w, '(');

	if (!asked_for(unit, "Description"))
		put_text(w, "Description", unit->description);
	put_text(w, "Slice", unit->slice);
	if (!asked_for(unit, "DefaultDependencies"))
		put_number(w, "DefaultDependencies", "b", false);
	if (!slice) {
		size_t pids;

		put_number(w, "Delegate", "b", true);
		/* a failed one would keep its name until somebody resets it */
		if (!asked_for(unit, "CollectMode"))
			put_text(w, "CollectMode", "inactive-or-failed");
		dbus_struct_begin(w);
		dbus_put_string(w, "PIDs");
		dbus_variant_begin(w, "au");
		pids = dbus_array_begin(w, 'u');
		dbus_put_u32(w, (uint32_t)holder);
		dbus_array_end(w, pids);
	}
	for (size_t i = 0; i < ARRAY_LEN(accounting); i++)
		put_number(w, accounting[i], "b", true);
	for (size_t i = 0; i < unit->n_properties; i++)
		put_property(w, &unit->properties[i]);
	for (size_t i = 0; plan && i < plan->n_properties; i++)
		if (!is_late(&plan->properties[i]))
			put_property(w, &plan->properties[i]);
	dbus_array_end(w, list);
}

/* ---- the holder ----------------------------------------------------------------------------------- */

static void hold(pid_t parent)
{
	/* ends with the caller's thread; neither a terminal's signals nor anybody's pipe are its */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "holder");
	syscall(SYS_close_range, 0, ~0U, 0);
	if (getppid() != parent)
		_exit(0);
	for (;;)
		pause();
}

static int holder_start(struct cgroup *cg, pid_t *ret, struct err *err)
{
	sigset_t all, old;
	pid_t parent = getpid(), pid;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = sys_clone3(0, SIGCHLD, -1, &cg->holder);
	if (pid == 0)
		hold(parent);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0) {
		cg->holder = -EBADF;
		return err_sys(err, pid, "systemd: make the scope's first process");
	}
	*ret = pid;
	return 0;
}

void cgroup_unit_release(struct cgroup *cg)
{
	int status;

	if (cg->holder < 0)
		return;
	sys_pidfd_signal(cg->holder, SIGKILL);
	sys_pidfd_wait(cg->holder, &status);
	fd_drop(&cg->holder);
}

int cgroup_attach(struct cgroup *cg, const struct cgroup *sub, pid_t pid, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	CLEANUP(dbus_freep) struct dbus *bus = NULL;
	size_t list;
	int r;

	r = systemd_open(cg->unit_user, &bus, err);
	if (r < 0)
		return r;
	dbus_put_string(&body, cg->unit);
	dbus_put_string(&body, sub ? sub->path + strlen(cg->path) : "");
	list = dbus_array_begin(&body, 'u');
	dbus_put_u32(&body, (uint32_t)pid);
	dbus_array_end(&body, list);
	r = systemd_call(bus, &attach_processes, "ssau", &body, &reply, err);
	if (r < 0)
		return err_wrap(err, r, "unit %s: have a process put into it", cg->unit);
	cgroup_unit_release(cg);
	return 0;
}

bool cgroup_can_attach(const struct cgroup *cg)
{
	return cg && cg->unit;
}

/* ---- the driver ------------------------------------------------------------------------------------- */

static int start(struct dbus *bus, const struct cgroup_unit *unit, const struct cgroup_plan *plan,
		 pid_t holder, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	int r;

	dbus_put_string(&body, unit->name);
	dbus_put_string(&body, "fail");
	put_unit(&body, unit, plan, holder);
	dbus_array_end(&body, dbus_array_begin(&body, '('));
	r = systemd_call(bus, &start_transient_unit, "ssa(sv)a(sa(sv))", &body, &reply, err);
	if (r < 0)
		return err_wrap(err, r, "unit %s", unit->name);
	return systemd_wait_job(bus, &reply, unit->name, "start", err);
}

static int stop(struct dbus *bus, const char *unit, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer name = DBUS_WRITER_INIT;
	struct err ignored = ERR_INIT;
	int r;

	dbus_put_string(&body, unit);
	dbus_put_string(&body, "replace");
	dbus_put_string(&name, unit);
	r = systemd_call(bus, &stop_unit, "ss", &body, &reply, err);
	if (r < 0) {
		if (!str_has_suffix(dbus_error_name(bus), ".NoSuchUnit"))
			return err_wrap(err, r, "unit %s", unit);
		err_clear(err);
		return 0;
	}
	r = systemd_wait_job(bus, &reply, unit, "stop", err);
	systemd_call(bus, &reset_failed_unit, "s", &name, &reply, &ignored);
	return r;
}

int cgroup_unit_stop(const char *name, bool user, struct err *err)
{
	CLEANUP(dbus_freep) struct dbus *bus = NULL;
	int r = systemd_open(user, &bus, err);

	if (r == 0)
		r = systemd_watch_jobs(bus, err);
	return r < 0 ? r : stop(bus, name, err);
}

static int systemd_make(struct cgroup *cg, const struct cgroup_config *config, const struct cgroup_plan *plan,
			struct err *err)
{
	CLEANUP(dbus_freep) struct dbus *bus = NULL;
	struct cgroup_config inside = *config;
	struct err ignored = ERR_INIT;
	pid_t holder = 0;
	int r;

	cg->unit = mem_strdup(config->unit->name);
	cg->unit_user = config->unit->user;
	cg->unit_fresh = true;
	r = systemd_open(cg->unit_user, &bus, err);
	if (r == 0)
		r = systemd_watch_jobs(bus, err);
	if (r == 0 && !str_has_suffix(cg->unit, ".slice"))
		r = holder_start(cg, &holder, err);
	if (r == 0)
		r = start(bus, config->unit, plan, holder, err);
	if (r < 0) {
		cgroup_unit_release(cg);
		return r;
	}
	/* hierarchies and controllers that systemd does not use; the holder is in those it does */
	inside.allow_populated = true;
	r = cgroup_fs_make(cg, &inside, plan, err);
	if (r < 0) {
		cgroup_unit_release(cg);
		stop(bus, cg->unit, &ignored);
	}
	return r;
}

static int set_properties(struct cgroup *cg, const struct cgroup_property *list, size_t n, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	CLEANUP(dbus_freep) struct dbus *bus = NULL;
	size_t array;
	int r;

	if (!n)
		return 0;
	r = systemd_open(cg->unit_user, &bus, err);
	if (r < 0)
		return r;
	dbus_put_string(&body, cg->unit);
	dbus_put_bool(&body, true); /* until it ends, not for ever */
	array = dbus_array_begin(&body, '(');
	for (size_t i = 0; i < n; i++)
		put_property(&body, &list[i]);
	dbus_array_end(&body, array);
	r = systemd_call(bus, &set_unit_properties, "sba(sv)", &body, &reply, err);
	return r < 0 ? err_wrap(err, r, "unit %s", cg->unit) : 0;
}

static int systemd_apply(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err)
{
	if (!cg->unit_fresh)
		return set_properties(cg, plan->properties, plan->n_properties, err);
	/* all but those were given to StartTransientUnit */
	cg->unit_fresh = false;
	for (size_t i = 0; i < plan->n_properties; i++) {
		if (!is_late(&plan->properties[i]))
			continue;
		/* in v2 the container's process is inside by now; in v1 it moves in later, which
		 * is not counted */
		if (cg->host->mode == CGROUP_V2)
			cgroup_unit_release(cg);
		return set_properties(cg, &plan->properties[i], 1, err);
	}
	return 0;
}

/* Without systemd the directories are gone all the same, and when it comes back it sees that. */
static int systemd_unmake(struct cgroup *cg, struct err *err)
{
	struct err this = ERR_INIT;
	int r;

	cgroup_unit_release(cg);
	r = cgroup_unit_stop(cg->unit, cg->unit_user, &this);
	if (r == 0 || this.kind == ERR_UNAVAILABLE)
		return 0;
	if (err)
		*err = this;
	return r;
}

const struct cgroup_driver cgroup_driver_systemd = {
	.name = "systemd",
	.make = systemd_make,
	.apply = systemd_apply,
	.unmake = systemd_unmake,
};
