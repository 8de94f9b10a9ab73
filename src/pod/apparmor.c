/*
 * AppArmor profiles of containers. RuntimeDefault is a profile of our own, which the kernel
 * gets from apparmor_parser when the first container wants it; Localhost names one that the
 * node's administrator has loaded. Runs on a worker: the parser takes a tenth of a second.
 *
 * The default profile is the second fence: what it forbids is read-only, masked or without
 * a capability already. A file of the kernel's that some configuration left open is closed
 * by it all the same, and no process can be traced from outside of its profile.
 */
#include "pod/security.h"

#include "pod/manager.h"
#include "sec/sec.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARSER_SECONDS = 20, PROFILES_MAX = 4 << 20 };

static const char default_name[] = "caisson-default";
static const char default_profile[] =
	"profile caisson-default flags=(attach_disconnected,mediate_deleted) {\n"
	"  network,\n  capability,\n  file,\n  umount,\n  unix,\n"
	"  signal (receive) peer=unconfined,\n"
	"  signal (send, receive) peer=caisson-default,\n"
	"  ptrace (trace, read, tracedby, readby) peer=caisson-default,\n"
	"  deny mount,\n  deny pivot_root,\n"
	"  deny /proc/{kcore,kmem,mem,keys,sysrq-trigger,timer_stats,latency_stats} rwklx,\n"
	"  deny /proc/{acpi,asound,bus,driver,fs,irq,scsi,tty}/** wkl,\n"
	/* but for what is a namespace's own: IPC limits, the host name, message queues, the network */
	"  deny /proc/sys/{abi,crypto,debug,dev,sunrpc,user,vm}/** wkl,\n"
	"  deny /proc/sys/fs/[^m]** wkl,\n"
	"  deny /proc/sys/kernel/{[^dhms]**,s[^eh]**,sec**,m[^s]**,d[^o]**} wkl,\n"
	"  deny /sys/[^f]** wklx,\n  deny /sys/f[^s]** wklx,\n"
	"  deny /sys/fs/[^c]** wklx,\n  deny /sys/fs/c[^g]** wklx,\n"
	"  deny /sys/{firmware,devices/virtual/powercap,kernel/security,kernel/debug}/** rwklx,\n"
	"}\n";

static const char *const parsers[] = { "/usr/sbin/apparmor_parser", "/sbin/apparmor_parser" };

static const char *parser(void)
{
	for (size_t i = 0; i < ARRAY_LEN(parsers); i++)
		if (access(parsers[i], X_OK) == 0)
			return parsers[i];
	return NULL;
}

bool pod_apparmor_possible(void)
{
	return sec_apparmor_enabled() && parser();
}

int pod_apparmor(const struct pod_security *s, const struct pod_host *host, struct arena *a, char **ret,
		 struct err *err)
{
	const char *name = s->apparmor.localhost ? s->apparmor.localhost : "";

	*ret = NULL;
	switch (s->apparmor.kind) {
	case POD_PROFILE_LOCALHOST:
		break;
	case POD_PROFILE_UNSET:
	case POD_PROFILE_RUNTIME_DEFAULT:
		/* as the kubelet has it: without a word the default, and none for what is privileged */
		if (host->apparmor && !s->privileged)
			*ret = arena_strdup(a, default_name);
		return 0;
	default:
		return 0;
	}
	if (str_skip_prefix(name, "localhost/"))
		name = str_skip_prefix(name, "localhost/");
	if (sec_apparmor_check(name, err) < 0)
		return err_wrap(err, -EINVAL, "apparmor profile %s", name);
	*ret = arena_strdup(a, name);
	return 0;
}

/* In the kernel's list, "name (mode)" a line: 1 or 0; negative where there is no list to read. */
static int loaded(const char *name)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(PROFILES_MAX);
	size_t n = strlen(name);
	int r = sys_file_read(AT_FDCWD, "/sys/kernel/security/apparmor/profiles", PROFILES_MAX, &text);

	if (r < 0)
		return r;
	for (const char *p = buf_text(&text); *p;) {
		const char *end = strchrnul(p, '\n');

		if (strncmp(p, name, n) == 0 && strncmp(p + n, " (", 2) == 0)
			return 1;
		p = *end ? end + 1 : end;
	}
	return 0;
}

static int load_default(struct err *err)
{
	const char *argv[] = { parser(), "--replace", "--skip-cache", NULL };
	CLEANUP(buf_done) struct buf said = BUF_INIT(4096);
	struct sys_spawn what = {
		.path = argv[0], .argv = argv, .input = default_profile, .input_len = sizeof(default_profile) - 1,
		.deadline = time_now_mono() + PARSER_SECONDS * NSEC_PER_SEC,
	};
	int status, r;

	if (!argv[0])
		return err_set(err, ERR_UNSUPPORTED, "AppArmor profile %s: there is no apparmor_parser", default_name);
	r = sys_spawn_run(&what, NULL, &said, &status);
	if (r < 0)
		return err_sys(err, r, "load AppArmor profile %s: %s", default_name, argv[0]);
	if (status != 0)
		return err_set(err, ERR_INTERNAL, "load AppArmor profile %s: %s: %s", default_name, argv[0],
			       buf_text(&said));
	return 0;
}

int pod_apparmor_ready(const char *profile, struct err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool done;
	int r = 0;

	if (!profile || str_eq(profile, "unconfined"))
		return 0;
	if (!str_eq(profile, default_name))
		return loaded(profile) == 0 ?
			       err_set(err, ERR_INVALID, "apparmor profile %s: not loaded on this node", profile) :
			       0;
	pthread_mutex_lock(&lock);
	/* somebody may have unloaded all profiles since; the list is where the truth is */
	if (!done || loaded(default_name) == 0)
		r = load_default(err);
	done = r == 0;
	pthread_mutex_unlock(&lock);
	return r;
}
