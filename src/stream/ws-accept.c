/*
 * The answer to a WebSocket key. Apart from the rest, since OpenSSL's headers and base/err.h both have
 * an ERR_STATE. Any thread.
 */
#include "stream/ws.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { KEY_LEN = 24 };

int ws_accept(const char *key, char out[WS_ACCEPT_LEN + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[KEY_LEN + sizeof(guid)];
	unsigned len;

	if (!key || strlen(key) != KEY_LEN)
		return -EINVAL;
	snprintf(text, sizeof(text), "%s%s", key, guid);
	if (!EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL))
		return -EINVAL;
	EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
	return 0;
}
