/*
 * Network namespaces with a name: made, entered for a moment, removed.
 *
 * A pod's network namespace outlives the processes in it (the pause process may be killed, DEL
 * needs the namespace still), so it is held by a bind mount of its nsfs file on a path of the
 * daemon's state directory.
 *
 * Threads. A thread may change its own network namespace without touching the others, but not
 * come back if it fails to; so everything that must happen inside runs on a short-lived thread
 * of its own, and the caller waits for it. Nothing here waits for anything but the kernel.
 * Any thread; needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
 */
#pragma once

#include <stdint.h>

struct err;

/*
 * Makes a new network namespace and mounts it on `path`; the directory must exist, the file
 * must not be a mount already (EXISTS). loopback is up in it. Ports below 1024 and ICMP
 * echo sockets are open to all users (net.ipv4.ip_unprivileged_port_start 0, ping_group_range
 * all): both protect a host from its own users, a pod has an address of its own; a pod's
 * sysctls, set later by the runtime, win. userns_fd: the user namespace that shall own it, or
 * negative for the daemon's own.
 */
int cni_netns_create(const char *path, int userns_fd, struct err *err);

/* Unmounts and unlinks. A path that is not there, or is a plain file, is success too. The
 * namespace itself lives on while a process is in it. */
int cni_netns_remove(const char *path, struct err *err);

/* A descriptor for setns(2). NOT_FOUND: no such path; INVALID: not a network namespace. */
int cni_netns_open(const char *path, int *ret_fd, struct err *err);

/* "lo" up by netlink, in the namespace: done by create already. */
int cni_netns_loopback_up(int netns_fd, struct err *err);

struct cni_interface_stats {
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};

/* Counters of one interface in the namespace: NOT_FOUND when there is none of that name. */
int cni_netns_stats(int netns_fd, const char *ifname, struct cni_interface_stats *ret, struct err *err);

/*
 * A TCP connection to that port of the loopback address (IPv4, else IPv6) in the namespace, or with a
 * negative netns_fd in the caller's own. Blocks at most `timeout` ns for each address. UNAVAILABLE: nobody
 * listens there.
 */
int cni_netns_connect(int netns_fd, uint16_t port, int64_t timeout, int *ret_fd, struct err *err);
