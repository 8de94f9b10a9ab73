#include "base/id.h"

#include "base/mem.h"

#include <sys/random.h>

void id_random(char out[ID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[ID_LEN / 2];

	/* 32 bytes are never cut short once the pool is up (getrandom(2)) */
	while (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		assert(errno == EINTR);
	for (size_t i = 0; i < sizeof(raw); i++) {
		out[2 * i] = hex[raw[i] >> 4];
		out[2 * i + 1] = hex[raw[i] & 15];
	}
	out[ID_LEN] = '\0';
}
