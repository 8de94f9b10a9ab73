/* From a tag or digest to the manifest and config for this machine, every byte verified. */
#pragma once

#include "image/content.h"
#include "image/table.h"

enum { RESOLVED_DOCUMENTS_MAX = 5 }; /* nested indexes and the manifest */

struct resolved {
	struct {
		char digest[DIGEST_TEXT];
		struct buf text;
	} documents[RESOLVED_DOCUMENTS_MAX]; /* outermost first; the last is the manifest */
	size_t n_documents;
	struct oci_manifest manifest;
	struct oci_image config;
	struct buf config_text;
	struct arena arena;
};

/* `expected` is the digest that the outermost document must have, or NULL. Done in any case. */
int resolved_fill(struct resolved *res, struct image_table *t, struct content *c, const char *reference,
		  const char *expected, struct err *err);
void resolved_done(struct resolved *res);
