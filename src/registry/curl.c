#include "registry/curl.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

struct curl_calls curl;
static char missing[256];

static void load(void)
{
	/* the name that has been ABI of libcurl since 2006 */
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		snprintf(missing, sizeof(missing), "%s", dlerror());
		return;
	}
#define CURL_CALL(name)                                                                  \
	*(void **)&curl.name = dlsym(library, "curl_" #name);                            \
	if (!curl.name)                                                                  \
		snprintf(missing, sizeof(missing), "libcurl.so.4 has no curl_" #name);
	CURL_CALLS(CURL_CALL)
#undef CURL_CALL
	if (!*missing && curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		snprintf(missing, sizeof(missing), "libcurl.so.4 cannot be initialised");
}

int curl_load(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return *missing ? err_set(err, ERR_UNSUPPORTED, "%s", missing) : 0;
}
