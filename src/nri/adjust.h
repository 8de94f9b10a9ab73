/*
 * One plugin's ContainerAdjustment, applied to config.json. No I/O. Private to nri.
 */
#pragma once

#include "nri/owners.h"

enum { NRI_LIST_MAX = 4096 }; /* of one kind in one adjustment */

struct nri_adjust {
	struct nri_owners *owners;
	const char *id;      /* container */
	const char *plugin;
	struct arena *a;
	struct oci_config *config;
	char **cdi;          /* devices asked for so far */
	size_t n_cdi;
};

/* INVALID: a conflict, or a value that cannot be. The config may be half changed then. */
int nri_adjust_apply(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err);
/* The part of it that is below linux: adjust-linux.c. */
int nri_adjust_linux(struct nri_adjust *ad, const NRI(LinuxContainerAdjustment) *from, struct err *err);

int nri_adjust_wrong(const struct nri_adjust *ad, struct err *err, const char *what, const char *value,
		     const char *why);
/* "-name" asks for the removal of name: the name, and whether. */
bool nri_adjust_removes(const char *key, const char **ret_name);
/* A copy of the list with room for more. */
void *nri_adjust_room(struct arena *a, const void *list, size_t n, size_t more, size_t size);
/* Sets or removes keys of a map of strings. `field` of the protocol. */
int nri_adjust_map(struct nri_adjust *ad, int field, const char *what, const char *key, const char *value,
		   struct json_kv *list, size_t *n, struct err *err);
char **nri_adjust_strings(char *const *from, size_t n, struct arena *a);
