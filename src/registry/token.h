/* What a token server answers (https://distribution.github.io/distribution/spec/auth/token/), without I/O. */
#pragma once

#include "base/base.h"

/* The token of an answer: heap; it can stand in a header. DENIED when there is none. */
int token_read(const void *text, size_t len, char **ret, struct err *err);
