/* Plugins' answers as values. Inside the room only. No I/O; every byte is hostile. */
#pragma once

#include "cni/cni.h"

/* The specification's error object: fills err with `what: msg; details` and returns negative;
 * 0 when the text is no error object. */
int cni_result_error(const char *text, size_t len, const char *what, struct err *err);
