/*
 * Network devices from one network namespace into another, by rtnetlink(7).
 *
 * The kernel takes a device's addresses away when it moves, so they are read before and set
 * again behind. Two sockets do it, one in each namespace: a netlink socket stays where it was
 * opened. Answers are the kernel's; every length is checked all the same.
 */
#include "ns/ns.h"

#include "base/base.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sched.h>
#include <sys/socket.h>

enum { ANSWER_MAX = 32768, DEVICES_MAX = 4096, ADDRESSES_MAX = 256 };

struct message {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		char room[256];
	} body;
};

struct address {
	struct ifaddrmsg info;
	uint32_t flags;
	uint8_t parts[3][16]; /* IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST */
	uint8_t lengths[3];
};

static const uint16_t address_parts[3] = { IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST };

struct devices {
	struct {
		int index;
		unsigned flags;
		char name[IFNAMSIZ];
	} list[DEVICES_MAX];
	size_t n;
};

struct addresses {
	int index;
	struct address list[ADDRESSES_MAX];
	size_t n;
	bool too_many;
};

/* ---- messages ---- */

static void begin(struct message *m, uint16_t type, uint16_t flags, size_t body)
{
	memset(m, 0, sizeof(*m));
	m->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	m->head.nlmsg_seq = 1;
}

static void put(struct message *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	m->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(m->head.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

/* Sends, and reads until the acknowledgement or the end of a dump. */
static int talk(int nl, const struct message *m, void (*each)(const struct nlmsghdr *, void *), void *user)
{
	autofree char *answer = mem_new(1, ANSWER_MAX);

	if (send(nl, m, m->head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(nl, answer, ANSWER_MAX, 0);
		const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)answer;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int left = (int)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (each)
				each(h, user);
		}
	}
}

static int open_in(int ns_fd, int *ret)
{
	autofd int own = -EBADF;
	int r = 0;

	if (ns_fd >= 0) {
		own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (own < 0)
			return -errno;
		r = ns_join(ns_fd, NS_NET);
		if (r < 0)
			return r;
	}
	*ret = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (*ret < 0)
		r = -errno;
	if (ns_fd >= 0 && setns(own, CLONE_NEWNET) < 0)
		abort(); /* everything later would be done in somebody else's network */
	return r;
}

/* ---- what is there ---- */

static void take_device(const struct nlmsghdr *h, void *user)
{
	struct devices *d = user;
	const struct ifinfomsg *info = NLMSG_DATA(h);
	int len = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*info));

	if (h->nlmsg_type != RTM_NEWLINK || len < 0 || d->n == DEVICES_MAX)
		return;
	d->list[d->n].index = info->ifi_index;
	d->list[d->n].flags = info->ifi_flags;
	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_IFNAME)
			snprintf(d->list[d->n].name, IFNAMSIZ, "%.*s", (int)RTA_PAYLOAD(a),
				 (const char *)RTA_DATA(a));
	d->n++;
}

static int list_devices(int nl, struct devices *ret)
{
	struct message m;

	ret->n = 0;
	begin(&m, RTM_GETLINK, NLM_F_DUMP, sizeof(m.body.link));
	return talk(nl, &m, take_device, ret);
}

static ssize_t find_device(const struct devices *d, const char *name, int index)
{
	for (size_t i = 0; i < d->n; i++)
		if (name ? str_eq(d->list[i].name, name) : d->list[i].index == index)
			return (ssize_t)i;
	return -1;
}

/* Addresses that somebody set, of global scope: others the kernel makes again by itself. */
static void take_address(const struct nlmsghdr *h, void *user)
{
	struct addresses *all = user;
	const struct ifaddrmsg *info = NLMSG_DATA(h);
	int len = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*info));
	struct address *to = &all->list[all->n];

	if (h->nlmsg_type != RTM_NEWADDR || len < 0 || (int)info->ifa_index != all->index ||
	    info->ifa_scope != RT_SCOPE_UNIVERSE)
		return;
	if (all->n == ADDRESSES_MAX) {
		all->too_many = true;
		return;
	}
	memset(to, 0, sizeof(*to));
	to->info = *info;
	to->flags = info->ifa_flags;
	for (const struct rtattr *a = IFA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		size_t n = RTA_PAYLOAD(a);

		if (a->rta_type == IFA_FLAGS && n >= sizeof(to->flags))
			memcpy(&to->flags, RTA_DATA(a), sizeof(to->flags));
		for (size_t i = 0; i < 3; i++)
			if (a->rta_type == address_parts[i] && n <= 16) {
				memcpy(to->parts[i], RTA_DATA(a), n);
				to->lengths[i] = (uint8_t)n;
			}
	}
	all->n += to->flags & IFA_F_PERMANENT ? 1 : 0;
}

/* ---- the move ---- */

static int move(int nl, int index, int to_ns, const char *name)
{
	uint32_t fd = (uint32_t)to_ns;
	struct message m;

	begin(&m, RTM_NEWLINK, NLM_F_ACK, sizeof(m.body.link));
	m.body.link.ifi_index = index;
	put(&m, IFLA_NET_NS_FD, &fd, sizeof(fd));
	put(&m, IFLA_IFNAME, name, strlen(name) + 1);
	return talk(nl, &m, NULL, NULL);
}

static int add_address(int nl, int index, const struct address *a)
{
	struct message m;
	int r;

	begin(&m, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(m.body.address));
	m.body.address = a->info;
	m.body.address.ifa_index = (uint32_t)index;
	for (size_t i = 0; i < 3; i++)
		if (a->lengths[i])
			put(&m, address_parts[i], a->parts[i], a->lengths[i]);
	put(&m, IFA_FLAGS, &a->flags, sizeof(a->flags));
	r = talk(nl, &m, NULL, NULL);
	return r == -EEXIST ? 0 : r;
}

static int set_up(int nl, int index)
{
	struct message m;

	begin(&m, RTM_NEWLINK, NLM_F_ACK, sizeof(m.body.link));
	m.body.link.ifi_index = index;
	m.body.link.ifi_flags = m.body.link.ifi_change = IFF_UP;
	return talk(nl, &m, NULL, NULL);
}

int ns_device_check_name(const char *name)
{
	size_t len = strlen(name);
	const char *percent = strchr(name, '%');

	if (!len || len >= IFNAMSIZ || str_eq(name, ".") || str_eq(name, "..") || strpbrk(name, "/: \t\n\v\f\r"))
		return -EINVAL;
	/* the kernel's own template, once and at the end: the first number that is free */
	return percent && (!str_eq(percent, "%d") || percent == name) ? -EINVAL : 0;
}

int ns_device_move(int from_ns, const char *name, int to_ns, const char *new_name, bool up,
		   struct ns_device *ret)
{
	autofree struct devices *before = mem_new(1, sizeof(*before)), *after = mem_new(1, sizeof(*after));
	autofree struct addresses *kept = mem_new(1, sizeof(*kept));
	autofd int from = -EBADF, to = -EBADF, own = -EBADF;
	struct message m;
	ssize_t at;
	int r;

	if (to_ns < 0 && (to_ns = own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) < 0)
		return -errno;
	r = open_in(from_ns, &from);
	if (r == 0)
		r = open_in(to_ns, &to);
	if (r == 0)
		r = list_devices(from, before);
	if (r < 0)
		return r;
	at = find_device(before, name, 0);
	if (at < 0)
		return -ENODEV;
	kept->index = before->list[at].index;
	ret->was_up = before->list[at].flags & IFF_UP;
	begin(&m, RTM_GETADDR, NLM_F_DUMP, sizeof(m.body.address));
	r = talk(from, &m, take_address, kept);
	if (r == 0 && kept->too_many)
		return -E2BIG;
	if (r == 0)
		r = list_devices(to, before);
	if (r == 0 && find_device(before, new_name, 0) >= 0)
		return -EEXIST;
	if (r == 0)
		r = move(from, kept->index, to_ns, new_name);
	if (r == 0)
		r = list_devices(to, after);
	if (r < 0)
		return r;
	/* its index may have changed, its name too where it is a template */
	for (at = 0; (size_t)at < after->n && find_device(before, NULL, after->list[at].index) >= 0; at++)
		;
	if ((size_t)at == after->n)
		return -ENODEV;
	memcpy(ret->name, after->list[at].name, sizeof(ret->name));
	ret->moved = true;
	for (size_t i = 0; r == 0 && i < kept->n; i++)
		r = add_address(to, after->list[at].index, &kept->list[i]);
	return r == 0 && up ? set_up(to, after->list[at].index) : r;
}
