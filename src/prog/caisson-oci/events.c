/*
 * events: one JSON object a line, until the container has ended. The kernel wakes us: for
 * the end by the pidfd, for the OOM killer by the cgroup; only statistics have a clock.
 */
#include "prog/caisson-oci/oci.h"

#include "cgroup/cgroup.h"
#include "json/json.h"
#include "sys/sys.h"

#include <poll.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 8 << 20 };

/* "5s", "1m30s", "500ms" as people write durations for engines: nanoseconds. */
static int parse_duration(const char *text, int64_t *ret)
{
	static const struct {
		const char *unit;
		int64_t nsec;
	} units[] = { { "ms", 1000000 }, { "us", 1000 }, { "ns", 1 }, { "s", NSEC_PER_SEC },
		      { "m", 60 * NSEC_PER_SEC }, { "h", 3600 * NSEC_PER_SEC } };

	*ret = 0;
	if (!*text)
		return -EINVAL;
	while (*text) {
		size_t digits = strspn(text, "0123456789"), i = 0;
		char number[12];
		uint32_t n;

		if (!digits || digits >= sizeof(number))
			return -EINVAL;
		memcpy(number, text, digits);
		number[digits] = '\0';
		text += digits;
		while (i < ARRAY_LEN(units) && !str_skip_prefix(text, units[i].unit))
			i++;
		if (i == ARRAY_LEN(units) || str_to_u32(number, 10, &n) < 0 || n > INT64_MAX / units[i].nsec / 64)
			return -EINVAL;
		text += strlen(units[i].unit);
		*ret += n * units[i].nsec;
	}
	return *ret > 0 ? 0 : -EINVAL;
}

static int print_event(const char *type, const char *id, const struct cgroup *cg, pid_t pid, struct err *err)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(LINE_MAX_BYTES);
	int r;

	buf_printf(&line, "{\"type\":\"%s\",\"id\":", type);
	json_put_string(&line, id);
	if (cg) {
		buf_puts(&line, ",\"data\":");
		r = stats_put(&line, cg, pid, err);
		if (r < 0)
			return r;
	}
	if (buf_puts(&line, "}\n") < 0)
		return err_set(err, ERR_LIMIT, "the event is too long");
	r = sys_write_all(1, line.data, line.len);
	return r < 0 ? err_sys(err, r, "write the event") : 0;
}

/* OOM kills: what the kernel has counted, and what was printed of it. */
struct kills {
	int watch, log; /* -EBADF: the host has no such thing */
	short events;   /* of watch; 0: the cgroup is gone, and it would tell so for ever */
	uint64_t base, printed;
	int why;        /* the log could not be opened */
};

#define KILLS_INIT { -EBADF, -EBADF, 0, 0, 0, 0 }

static void kills_done(struct kills *k)
{
	fd_drop(&k->watch);
	fd_drop(&k->log);
}

/* A host without the memory controller has no such events. */
static void kills_begin(struct kills *k, const struct cgroup *cg)
{
	if (cgroup_oom_watch(cg, &k->watch, &k->events, NULL) < 0)
		return;
	k->why = cgroup_oom_log_open(&k->log);
	cgroup_oom_kills(cg, &k->base, NULL);
}

/*
 * One line a kill, the last ones too that came with the end: by the counter, or where the cgroup is
 * gone with it, by the kernel's log.
 */
static int kills_print(struct kills *k, const struct cgroup *cg, const char *id, pid_t pid, bool ended,
		       struct err *err)
{
	char text[ERR_TEXT_MAX + 80];
	struct err why = ERR_INIT;
	uint64_t now;
	int r = 0;

	if (k->watch < 0)
		return 0;
	if (cgroup_oom_kills(cg, &now, NULL) == 0) {
		now -= k->base;
	} else if (!ended) {
		return 0;
	} else if (k->log < 0 || cgroup_oom_logged(cg, k->log, pid, &now, &why) < 0) {
		if (k->log < 0)
			err_sys(&why, k->why, "open /dev/kmsg");
		snprintf(text, sizeof(text), "the cgroup is gone, and whether it was out of memory is not known: %s",
			 why.text);
		report("warning", text);
		return 0;
	}
	for (; r == 0 && k->printed < now; k->printed++)
		r = print_event("oom", id, NULL, pid, err);
	return r;
}

static int follow(const char *id, const struct cgroup *cg, pid_t pid, int pidfd, int64_t interval,
		  struct err *err)
{
	CLEANUP(kills_done) struct kills kills = KILLS_INIT;
	int64_t next = time_now_mono() + interval;
	int r;

	kills_begin(&kills, cg);
	for (;;) {
		struct pollfd p[] = { { pidfd, POLLIN, 0 }, { kills.events ? kills.watch : -1, kills.events, 0 } };

		if (poll(p, ARRAY_LEN(p), time_poll_ms(next)) < 0 && errno != EINTR)
			return err_sys(err, errno, "poll");
		if (p[1].revents && cgroup_watch_drain(kills.watch) < 0)
			kills.events = 0;
		r = kills_print(&kills, cg, id, pid, p[0].revents, err);
		if (r < 0)
			return r;
		if (p[0].revents)
			return 0;
		if (time_now_mono() < next)
			continue;
		next += interval;
		r = print_event("stats", id, cg, pid, err);
		if (r < 0 && sys_pidfd_exited(pidfd) == 1) {
			err_clear(err); /* it went away while it was read */
			continue;
		}
		if (r < 0)
			return r;
	}
}

int command_events(struct global *g, int argc, char **argv, struct err *err)
{
	const char *interval_text = "5s", *id;
	bool stats = false;
	const struct option options[] = {
		{ "interval", 0, OPTION_TEXT, &interval_text, "DURATION\tbetween statistics (default 5s)" },
		{ "stats", 0, OPTION_FLAG, &stats, "print the statistics once and end" },
	};
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	autofd int pidfd = -EBADF;
	struct runtime_state s;
	int64_t interval = 0;
	int r;

	r = options_id(command_find("events"), options, ARRAY_LEN(options), argc, argv, &g->arena, &id, err);
	if (r == 0 && parse_duration(interval_text, &interval) < 0)
		return err_set(err, ERR_INVALID, "--interval: \"%s\" is no duration above 0, like 5s or 500ms",
			       interval_text);
	if (r == 0)
		r = runtime_state(g->root, id, &g->arena, &s, err);
	if (r < 0)
		return r;
	if (s.oci.pid <= 0 || sys_pidfd_open_verified(s.oci.pid, s.start_ticks, &pidfd) < 0)
		return err_set(err, ERR_STATE, "container with id %s is not running", id);
	r = runtime_cgroup(g->root, id, &g->arena, &cg, err);
	if (r < 0)
		return r;
	return stats ? print_event("stats", id, cg, s.oci.pid, err) :
		       follow(id, cg, s.oci.pid, pidfd, interval, err);
}
