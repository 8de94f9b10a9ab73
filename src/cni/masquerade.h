/*
 * Who leaves the embedded default network does so with the node's address. Inside the room only.
 *
 * One table of nf_tables for the network, with one rule in it:
 *
 *	table ip caisson-caisson0 {
 *		chain postrouting {
 *			type nat hook postrouting priority srcnat; policy accept;
 *			ip saddr 10.88.0.0/16 ip daddr != 10.88.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
 *		}
 *	}
 *
 * The bridge plugin's ipMasq makes a chain and a rule for each pod by ten runs of iptables: most
 * of the time that a pod's network takes, and a list that each new connection of the node walks.
 *
 * Both calls belong to the network namespace of the calling thread, need CAP_NET_ADMIN and block
 * only for the kernel. -errno; EPERM, EPROTONOSUPPORT, EOPNOTSUPP and ENOENT where a kernel or a
 * sandbox has no nf_tables. Source: nft(8), linux/netfilter/nf_tables.h.
 */
#pragma once

#include <stdbool.h>

/*
 * The table is there. With `anew` it is made again, in one transaction, whatever it held: the
 * subnet may be another one than last year's daemon had. Without, only where there is none: who
 * flushed the node's rules flushed it too. subnet: "10.88.0.0/16", IPv4 or IPv6.
 */
int cni_masquerade_ensure(const char *bridge, const char *subnet, bool anew);

/* 0 also when there was none. */
int cni_masquerade_remove(const char *bridge, const char *subnet);
