/*
 * What the reader (read.c) and the tables (schema.c) of the configuration share.
 */
#pragma once

#include "config/config.h"

enum config_kind {
	CONFIG_STR,      /* char * */
	CONFIG_PATH,     /* char *, absolute, or "" */
	CONFIG_BOOL,     /* bool */
	CONFIG_COUNT,    /* uint32_t, 1 to 1000 */
	CONFIG_PORT,     /* uint32_t, 0 to 65535 */
	CONFIG_PERCENT,  /* uint32_t, 0 to 100 */
	CONFIG_NUMBER,   /* uint64_t, from 1 */
	CONFIG_SIZE,     /* uint64_t bytes: 4096, 512KiB, 32MiB, 64GiB */
	CONFIG_DURATION, /* int64_t ns: 500ms, 30s, 2m, 1h */
	CONFIG_CHOICE,   /* int: index in names */
	CONFIG_STR_LIST, /* char ** and size_t */
	CONFIG_PATH_LIST,
	CONFIG_STR_MAP,  /* char ** of pairs and size_t, which counts both halves */
	CONFIG_SECTION,  /* a struct in place */
	CONFIG_SECTION_LIST, /* an array of structs and size_t */
	CONFIG_SECTION_MAP,  /* likewise; a struct begins with char *, its key in the map */
};

struct config_section;

struct config_key {
	const char *name;
	enum config_kind kind;
	size_t offset, n_offset;
	const char *def;                      /* as YAML would say it; lists: separated by spaces; NULL: zero */
	const char *const *names;             /* CHOICE, ends with NULL */
	const struct config_section *section; /* SECTION… */
};

struct config_section {
	size_t size;
	const struct config_key *keys;
	size_t n_keys;
};

extern const struct config_section config_schema;
