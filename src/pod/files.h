/*
 * The three small files of a pod: resolv.conf, hosts, hostname. Texts are made without I/O;
 * what comes from a client and would break the line structure is INVALID, naming the field.
 */
#pragma once

#include "pod/pod.h"

enum { POD_FILE_MAX = 1024 * 1024 };

/* "" when the configuration says nothing: the host's own is to be used. */
int pod_resolv_text(const struct pod_config *config, struct buf *out, struct err *err);
int pod_hosts_text(const char *hostname, char *const *ips, size_t n_ips, struct buf *out, struct err *err);

/* The name that the pod's UTS namespace gets: the configuration's, else the host's. */
int pod_hostname(const struct pod_config *config, char *out, size_t size, struct err *err);

/* Writes resolv.conf and hostname; hosts too for the host's network. Blocks. */
int pod_files_write(const struct pod_config *config, const char *dir, const char *hostname, struct err *err);
/* hosts, once the addresses are known. */
int pod_hosts_write(const struct pod_config *config, const char *dir, const char *hostname, char *const *ips,
		    size_t n_ips, struct err *err);
