/*
 * A blob whose bytes are kept while they come (store/partial.c): what an earlier pull has left
 * is read first, the rest from the content behind it. One thread.
 */
#pragma once

#include "image/content.h"
#include "store/store.h"

enum { RESUME_MIN = 1024 * 1024 }; /* smaller blobs are fetched anew */

struct resume {
	struct source source;
	struct store *store;
	struct content *content;
	const struct oci_descriptor *descriptor;
	struct source *from;    /* NULL: all of it was here */
	int fd;                 /* -EBADF: nothing is kept */
	uint64_t have, at;      /* what was here; what was read */
};

/* `fresh`: what is here is thrown away first. Ends with resume_close in any case. */
int resume_open(struct resume *s, struct store *store, struct content *content,
		const struct oci_descriptor *d,
		bool fresh, struct err *err);
/* What came had another digest: whether a second try may get another answer. */
bool resume_distrust(struct resume *s);
/* keep: what is here stays for the next pull. */
void resume_close(struct resume *s, bool keep);
