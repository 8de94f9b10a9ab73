/*
 * One layer: from a blob to an unpacked directory, once, however many pulls want it.
 *
 * A fetched layer is staged in the store under a lease of its own and stays in the table's
 * list until the last pull that uses it has published or failed (fetched_free), so whoever
 * comes meanwhile finds it either there or in the store.
 */
#pragma once

#include "image/content.h"
#include "image/table.h"
#include "image/unpack.h"

struct fetched {
	struct list link;          /* t->layers, under t->mutex like the next four */
	struct image_table *table;
	unsigned refs;
	bool done, failed;
	char diff_id[STORE_DIGEST_MAX], chain_id[STORE_DIGEST_MAX];
	struct store_lease *lease;
	struct store_layer layer;  /* valid and constant once done; key "" until implied.c has decided */
	struct unpack_result unpacked;
	bool fresh;                /* staged by us, not found in the store */
	bool has_blob;             /* the compressed blob was kept */
};

struct fetch {
	struct image_table *table;
	struct content *content;
	const struct oci_descriptor *descriptor;
	const char *diff_id, *chain_id;
	const atomic_bool *stop;   /* ends waiting and reading */
	_Atomic uint64_t *progress; /* NULL: nobody looks */
};

/* Blocks until the layer is there. The caller's reference ends with fetched_free. */
int fetch_layer(const struct fetch *f, struct fetched **ret, struct err *err);
void fetched_free(struct fetched *l);
/* Writes down what its tree is, when it is finished. */
int fetched_sum(struct fetched *l, struct err *err);
