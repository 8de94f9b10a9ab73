/*
 * YAML documents as JSON text, so that one set of field tables reads both. No I/O; bounded by
 * out's bound, so anchors that multiply end there. Private to cdi.
 */
#pragma once

#include "base/base.h"

/* One document of maps with scalar keys. INVALID, with its line. */
int cdi_yaml_to_json(const void *text, size_t len, struct buf *out, struct err *err);
