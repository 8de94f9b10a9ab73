/* SHA-256 by OpenSSL, which uses the processor's instructions; text as "sha256:<hex>". */
#pragma once

#include <stddef.h>

enum { DIGEST_TEXT = 72 }; /* with the terminating zero */

struct digest {
	struct evp_md_ctx_st *ctx;
};

void digest_init(struct digest *d);
void digest_update(struct digest *d, const void *data, size_t len);
/* The digest of what was added until now; more may be added after. Returns out. */
char *digest_text(const struct digest *d, char out[DIGEST_TEXT]);
void digest_done(struct digest *d);

char *digest_of(const void *data, size_t len, char out[DIGEST_TEXT]);
