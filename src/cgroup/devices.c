/*
 * Which device files a container may use: a list in v1, a BPF program in v2. Any process.
 *
 * Rules come in order and a later one wins. A rule for all devices ends the meaning of
 * everything before it, so both forms start at the last such rule.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

enum { LIST_MAX = 1 << 20, ENTRIES_MAX = 4096 };

static void rule_text(const struct cgroup_device *d, unsigned access, char out[64])
{
	char major[16] = "*", minor[16] = "*";

	if (d->major >= 0)
		snprintf(major, sizeof(major), "%" PRId64, d->major);
	if (d->minor >= 0)
		snprintf(minor, sizeof(minor), "%" PRId64, d->minor);
	snprintf(out, 64, "%c %s:%s %s%s%s", d->type, major, minor, access & CGROUP_DEVICE_READ ? "r" : "",
		 access & CGROUP_DEVICE_WRITE ? "w" : "", access & CGROUP_DEVICE_MKNOD ? "m" : "");
}

/* devices.list into rules: the number of them, or -errno. */
static int read_list(int dir, struct arena *a, struct cgroup_device **ret)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIST_MAX);
	struct cgroup_device *list;
	size_t lines = 0;
	char *save = NULL;
	int n = 0, r = sys_file_read(dir, "devices.list", LIST_MAX - 1, &text);

	if (r < 0)
		return r;
	for (const char *c = buf_text(&text); *c && lines < ENTRIES_MAX; c++)
		lines += *c == '\n';
	list = arena_new(a, lines + 1, sizeof(*list));
	for (char *line = strtok_r((char *)buf_text(&text), "\n", &save); line && (size_t)n <= lines;
	     line = strtok_r(NULL, "\n", &save)) {
		char type, major[16], minor[16], access[8];
		struct cgroup_device *d = &list[n];

		if (sscanf(line, "%c %15[^:]:%15s %7s", &type, major, minor, access) != 4 ||
		    cgroup_device_access(access, &d->access) < 0)
			continue;
		d->allow = true;
		d->type = type;
		d->major = str_eq(major, "*") ? -1 : strtoll(major, NULL, 10);
		d->minor = str_eq(minor, "*") ? -1 : strtoll(minor, NULL, 10);
		n++;
	}
	*ret = list;
	return n;
}

static bool same_device(const struct cgroup_device *a, const struct cgroup_device *b)
{
	return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

struct writer {
	const struct cgroup *cg;
	int allow, deny;
};

static int write_rule(const struct writer *w, const struct cgroup_device *d, bool allow, unsigned access,
		      struct err *err)
{
	char text[64];

	rule_text(d, access, text);
	if (write(allow ? w->allow : w->deny, text, strlen(text)) < 0)
		return err_sys(err, errno, "cgroup devices: %s %s in %s", allow ? "allow" : "deny", text,
			       w->cg->path);
	return 0;
}

/*
 * Only the difference to what holds, so that an update never takes /dev/null away for a
 * moment from processes that run. Possible when both old and new are lists of exceptions
 * from "nothing".
 */
static int write_difference(const struct writer *w, const struct cgroup_device *rules, size_t n,
			    const struct cgroup_device *now, int n_now, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = write_rule(w, &rules[i], true, rules[i].access, err);

		if (r < 0)
			return r;
	}
	for (int k = 0; k < n_now; k++) {
		unsigned extra = now[k].access;
		int r;

		for (size_t i = 0; i < n; i++)
			if (same_device(&rules[i], &now[k]))
				extra &= ~rules[i].access;
		r = extra ? write_rule(w, &now[k], false, extra, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* A list that was refused half way: the old one again, as far as the parent still allows it. */
static void put_back(const struct writer *w, int dir, const struct cgroup_device *then, int n_then,
		     struct arena *a)
{
	struct err ignored = ERR_INIT;
	struct cgroup_device *now;
	int n_now = read_list(dir, a, &now);

	if (then[0].type == 'a')
		write_rule(w, &then[0], true, then[0].access, &ignored);
	else if (n_now >= 0)
		write_difference(w, then, (size_t)n_then, now, n_now, &ignored);
}

static int apply_v1(struct cgroup *cg, int dir, const struct cgroup_device *rules, size_t n, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofd int allow = openat(dir, "devices.allow", O_WRONLY | O_CLOEXEC);
	autofd int deny = openat(dir, "devices.deny", O_WRONLY | O_CLOEXEC);
	struct writer w = { cg, allow, deny };
	struct cgroup_device *now = NULL;
	bool only_allows = true;
	int n_now, r = 0;

	if (allow < 0 || deny < 0)
		return err_sys(err, errno, "cgroup devices: open the lists of %s", cg->path);
	for (size_t i = 1; i < n; i++)
		only_allows = only_allows && rules[i].allow;
	n_now = read_list(dir, &a, &now);
	if (n_now >= 0 && only_allows && rules[0].type == 'a' && !rules[0].allow &&
	    !(n_now > 0 && now[0].type == 'a')) {
		r = write_difference(&w, rules + 1, n - 1, now, n_now, err);
	} else {
		for (size_t i = 0; i < n && r == 0; i++)
			r = write_rule(&w, &rules[i], rules[i].allow, rules[i].access, err);
	}
	if (r < 0 && n_now > 0)
		put_back(&w, dir, now, n_now, &a);
	return r;
}

int cgroup_devices_apply(struct cgroup *cg, const struct cgroup_device *rules, size_t n, struct err *err)
{
	int v1 = cg->host->of[CGROUP_DEVICES], v2 = cg->host->v2, r;

	for (size_t i = n; i-- > 1;) {
		if (rules[i].type == 'a') {
			rules += i;
			n -= i;
			break;
		}
	}
	if (!n)
		return 0;
	if (v1 >= 0 && cg->dirs[v1] >= 0)
		return apply_v1(cg, cg->dirs[v1], rules, n, err);
	if (v2 < 0 || cg->dirs[v2] < 0)
		return 0; /* the plan said that this is allowed */
	r = cgroup_bpf_devices(cg->dirs[v2], rules, n);
	return r < 0 ? err_sys(err, r, "cgroup devices: attach the BPF program to %s", cg->path) : 0;
}
