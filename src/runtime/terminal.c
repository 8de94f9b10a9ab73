/*
 * A terminal of the container's own devpts, handed to whoever listens at the console
 * socket. [child], before pivot_root or after joining the container.
 */
#include "runtime/child.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int open_master(struct child *c, int *ret, struct err *err)
{
	int r;

	if (c->plan && c->plan->mnt.pts_fd >= 0)
		r = sys_open_beneath(c->plan->mnt.pts_fd, "ptmx", O_RDWR | O_NOCTTY, 0, ret);
	else if (c->plan && c->plan->has_mnt)
		r = sys_open_in(c->plan->mnt.root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, ret);
	else
		r = (*ret = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 ? -errno : 0;
	return r < 0 ? err_sys(err, r, "open the container's ptmx (is a devpts mounted?)") : 0;
}

int child_make_terminal(struct child *c, struct err *err)
{
	const struct process_plan *p = c->process;
	struct winsize size = { .ws_row = p->rows, .ws_col = p->columns };
	struct termios t;
	unsigned number = 0;
	struct statfs fs;
	char name[32];
	int unlock = 0, r;

	r = open_master(c, &c->master, err);
	if (r < 0)
		return r;
	/* what is called ptmx inside may be anything (CVE-2025-52565) */
	if (fstatfs(c->master, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, ERR_DENIED, "the container's ptmx is not of a devpts");
	if (ioctl(c->master, TIOCSPTLCK, &unlock) < 0 || ioctl(c->master, TIOCGPTN, &number) < 0)
		return err_sys(err, errno, "unlock the terminal");
	c->slave = ioctl(c->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->slave < 0)
		return err_sys(err, errno, "open the terminal's other end");
	if (size.ws_row && ioctl(c->master, TIOCSWINSZ, &size) < 0)
		return err_sys(err, errno, "set the terminal's size");
	/* whoever shows it does not want carriage returns made up for it */
	if (tcgetattr(c->slave, &t) == 0) {
		t.c_oflag &= ~(tcflag_t)ONLCR;
		tcsetattr(c->slave, TCSANOW, &t);
	}
	snprintf(name, sizeof(name), "/dev/pts/%u", number);
	r = sys_send_fds(c->console_socket, name, strlen(name), &c->master, 1);
	if (r < 0)
		return err_sys(err, r, "send the terminal to the console socket");
	close(c->master);
	c->master = -EBADF;
	return 0;
}
