/*
 * Which plugin set what, in one request. No I/O. Private to nri.
 */
#pragma once

#include "nri/message.h"

struct nri_owners {
	struct map map;
	struct arena arena;
};

#define NRI_OWNERS_INIT { MAP_INIT, ARENA_INIT }

void nri_owners_done(struct nri_owners *o);
/* field: of the protocol's enum Field. key NULL: the field has one value. INVALID: another has it. */
int nri_claim(struct nri_owners *o, const char *id, int field, const char *key, const char *plugin,
	      struct err *err);
/* The plugin removed what was there: whoever set it does not own it any more. */
void nri_unclaim(struct nri_owners *o, const char *id, int field, const char *key);
/* For hooks, which add up: all their plugins. */
void nri_claim_also(struct nri_owners *o, const char *id, int field, const char *plugin);
NRI(OwningPlugins) *nri_owners_write(struct nri_owners *o, struct arena *a);
