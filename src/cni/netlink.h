/*
 * The few words of rtnetlink that this room needs. Inside the room only. The socket belongs to the
 * network namespace of the thread that opened it, for ever. Blocks only for the kernel. -errno;
 * -ENODEV: no such interface.
 */
#pragma once

#include <linux/if.h>
#include <linux/if_link.h>

struct cni_link {
	int index, master; /* master 0: none */
	unsigned flags;    /* IFF_* */
	char name[IFNAMSIZ], kind[16];
	struct rtnl_link_stats64 stats;
};

int cni_netlink_open(int *ret_fd);
int cni_link_get(int nl, const char *name, struct cni_link *ret);
int cni_link_each(int nl, void (*fn)(const struct cni_link *link, void *user), void *user);
int cni_link_up(int nl, int index);
