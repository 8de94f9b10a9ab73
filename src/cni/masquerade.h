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
 * The bridge plugin's ipMasq makes a chain and a rule for each pod by eleven runs of iptables: most
 * of the time that a pod's network takes, and a list that each new connection of the node walks.
 *
 * All calls belong to the network namespace of the calling thread, need CAP_NET_ADMIN and block
 * only for the kernel. -errno; EPERM, EPROTONOSUPPORT, EOPNOTSUPP and ENOENT where a kernel or a
 * sandbox has no nf_tables. Source: nft(8), linux/netfilter/nf_tables.h.
 */
#pragma once

/* 0 while the table is there, -ENOENT when not. Asks only: never waits for a transaction of somebody else's.
 * subnet: "10.88.0.0/16", IPv4 or IPv6. */
int cni_masquerade_look(const char *bridge, const char *subnet);

/* The table as above, in one transaction, whatever was there under its name. */
int cni_masquerade_make(const char *bridge, const char *subnet);

/* 0 also when there was none. */
int cni_masquerade_remove(const char *bridge, const char *subnet);
