/*
 * Who a container runs as: from the request, the image and the image's own /etc/passwd and
 * /etc/group. Pure: texts in, numbers out. Both files are hostile; what is not a whole,
 * well-formed line is no entry. Sources: passwd(5), group(5), CRI's LinuxContainerSecurityContext.
 */
#pragma once

#include "pod/pod.h"

enum { POD_PASSWD_MAX = 4 * 1024 * 1024, POD_GROUPS_MAX = 4096 };

struct pod_user {
	uint32_t uid, gid;
	uint32_t *groups; /* the primary one first, each once */
	size_t n_groups;
	char *home;       /* "/" if unknown */
	char *name;       /* NULL without an entry */
};

/*
 * The request wins over `image_user` ("uid", "name", "uid:gid", "name:group" …, NULL or "" for
 * root). INVALID: run_as_group without a user, an id that no kernel takes, a name that is in
 * no file, naming it.
 */
int pod_user_resolve(const struct pod_security *s, const char *image_user, const char *passwd,
		     const char *group, struct arena *a, struct pod_user *ret, struct err *err);
