/*
 * SHA-256. OpenSSL can only fail here when it has no memory or no SHA-256: a bug. base/err.h
 * stays outside: OpenSSL has an ERR_STATE of its own.
 */
#include "image/digest.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <pthread.h>

static EVP_MD *sha256;

/* fetched once: the implicit fetch of EVP_sha256() costs a search at each init */
static void fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	assert(sha256);
}

void digest_init(struct digest *d)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch);
	d->ctx = EVP_MD_CTX_new();
	assert(d->ctx && EVP_DigestInit_ex2(d->ctx, sha256, NULL));
}

void digest_update(struct digest *d, const void *data, size_t len)
{
	int ok = EVP_DigestUpdate(d->ctx, data, len);

	assert(ok);
}

char *digest_text(const struct digest *d, char out[DIGEST_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[32];
	unsigned n = sizeof(sum);
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	int ok = copy && EVP_MD_CTX_copy_ex(copy, d->ctx) && EVP_DigestFinal_ex(copy, sum, &n);

	assert(ok && n == sizeof(sum));
	EVP_MD_CTX_free(copy);
	memcpy(out, "sha256:", 7);
	for (unsigned i = 0; i < n; i++) {
		out[7 + 2 * i] = hex[sum[i] >> 4];
		out[8 + 2 * i] = hex[sum[i] & 15];
	}
	out[DIGEST_TEXT - 1] = '\0';
	return out;
}

void digest_done(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	d->ctx = NULL;
}

char *digest_of(const void *data, size_t len, char out[DIGEST_TEXT])
{
	CLEANUP(digest_done) struct digest d;

	digest_init(&d);
	digest_update(&d, data, len);
	return digest_text(&d, out);
}
