/*
 * Single attributes of a process. Detection and checks run in the parent; the setters in
 * the child, on files of a procfs that the caller verified.
 */
#include "sec/attr.h"

#include "base/base.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/vfs.h>

enum { LABEL_MAX = 4096 };

int sec_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static bool apparmor, selinux;

static void detect(void)
{
	const char *file = "/sys/module/apparmor/parameters/enabled";
	struct statfs st;
	char text[8];

	apparmor = sys_file_read_text(AT_FDCWD, file, text, sizeof(text)) > 0 && text[0] == 'Y';
	selinux = statfs("/sys/fs/selinux", &st) == 0 && (unsigned long)st.f_type == SELINUX_MAGIC;
}

static void detect_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, detect);
}

bool sec_apparmor_enabled(void)
{
	detect_once();
	return apparmor;
}

bool sec_selinux_enabled(void)
{
	detect_once();
	return selinux;
}

static int check_label(const char *text, const char *lsm, bool enabled, struct err *err)
{
	if (strlen(text) >= LABEL_MAX)
		return err_set(err, ERR_INVALID, "%s: longer than %d bytes", lsm, LABEL_MAX - 1);
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(err, ERR_INVALID, "%s: contains a control character", lsm);
	if (!enabled)
		return err_set(err, ERR_UNSUPPORTED, "%s %s: %s is not enabled on this kernel", lsm, text,
			       lsm[0] == 'A' ? "AppArmor" : "SELinux");
	return 0;
}

int sec_apparmor_check(const char *profile, struct err *err)
{
	if (str_empty(profile) || str_eq(profile, "unconfined"))
		return 0;
	return check_label(profile, "AppArmor profile", sec_apparmor_enabled(), err);
}

int sec_selinux_check(const char *label, struct err *err)
{
	int r;

	if (str_empty(label))
		return 0;
	r = check_label(label, "SELinux label", sec_selinux_enabled(), err);
	/* who may not ask hears it at the exec, from the kernel */
	if (r == 0 && sys_file_write(AT_FDCWD, "/sys/fs/selinux/context", label) == -EINVAL)
		r = err_set(err, ERR_INVALID, "SELinux label %s: the policy knows no such context", label);
	return r;
}

/* The same label as the policy writes it: categories in their order. */
static void canonical(const char *label, char *out, size_t size)
{
	autofd int fd = open("/sys/fs/selinux/context", O_RDWR | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0 && write(fd, label, strlen(label) + 1) > 0)
		n = read(fd, out, size - 1);
	if (n > 0)
		out[n] = '\0';
	else
		snprintf(out, size, "%s", label);
}

static int verify(pid_t pid, const char *wanted, const char *lsm, const char *file, const char *older, struct err *err)
{
	char path[64], is[LABEL_MAX + 16];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	n = sys_file_read_text(AT_FDCWD, path, is, sizeof(is));
	if (n == -ENOENT && older) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, older);
		n = sys_file_read_text(AT_FDCWD, path, is, sizeof(is));
	}
	if (n < 0)
		return err_sys(err, n, "%s", path);
	is[strcspn(is, "\n")] = '\0';
	/* AppArmor says the mode behind the name, "name (enforce)"; no label has a blank */
	if (strstr(is, " ("))
		*strstr(is, " (") = '\0';
	if (str_eq(is, wanted))
		return 0;
	return err_set(err, ERR_DENIED, "process %d has the %s %.400s, not %.400s", pid, lsm, *is ? is : "(none)", wanted);
}

int sec_apparmor_verify(pid_t pid, const char *profile, struct err *err)
{
	if (str_empty(profile) || str_eq(profile, "unconfined") || !sec_apparmor_enabled())
		return 0;
	return verify(pid, profile, "AppArmor profile", "attr/apparmor/current", "attr/current", err);
}

int sec_selinux_verify(pid_t pid, const char *label, struct err *err)
{
	char wanted[LABEL_MAX];

	if (str_empty(label) || !sec_selinux_enabled())
		return 0;
	canonical(label, wanted, sizeof(wanted));
	return verify(pid, wanted, "SELinux label", "attr/current", NULL, err);
}

int sec_apparmor_set_exec(int procfd, const char *profile)
{
	char text[LABEL_MAX + 8] = "exec ";
	size_t len = profile ? strlen(profile) : 0;
	int r;

	if (!len)
		return 0;
	if (len >= LABEL_MAX)
		return -EINVAL;
	memcpy(text + 5, profile, len + 1);
	/* its own directory since 5.8; with stacked LSMs the shared file belongs to another */
	r = sys_file_write(procfd, "thread-self/attr/apparmor/exec", text);
	return r == -ENOENT ? sys_file_write(procfd, "thread-self/attr/exec", text) : r;
}

int sec_selinux_set_exec(int procfd, const char *label)
{
	return str_empty(label) ? 0 : sys_file_write(procfd, "thread-self/attr/exec", label);
}

int sec_selinux_set_keycreate(int procfd, const char *label)
{
	return str_empty(label) ? 0 : sys_file_write(procfd, "thread-self/attr/keycreate", label);
}

int sec_oom_score_adj(int procfd, int value)
{
	unsigned v = (unsigned)(value < 0 ? -value : value);
	char text[8], *p = text + sizeof(text);

	if (v > 1000)
		return -EINVAL;
	/* by hand: stdio may lock, and a cloned child calls this */
	*--p = '\0';
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	if (value < 0)
		*--p = '-';
	return sys_file_write(procfd, "self/oom_score_adj", p);
}

int sec_oom_score_adj_get(int procfd, int *ret)
{
	char text[16];
	ssize_t n = sys_file_read_text(procfd, "self/oom_score_adj", text, sizeof(text));
	int64_t v;
	int r;

	if (n < 0)
		return (int)n;
	r = str_to_i64(text, 10, &v);
	if (r < 0)
		return r;
	*ret = (int)v;
	return 0;
}
