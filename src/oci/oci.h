/*
 * oci — the documents of the Open Container Initiative as plain structs with field tables.
 *
 *   oci/config.h   runtime-spec config.json: what a bundle asks of a runtime
 *   oci/state.h    runtime-spec state: what a runtime says of a container
 *   oci/image.h    image-spec index, manifest and config
 *
 * The structs follow the specifications member for member, with the specifications' names
 * in our spelling; json/json.h says which C type stands for what, and "absent" is always
 * NULL, 0 or an empty list. Reading checks types and ranges and names the JSON path of what
 * is wrong. Whether the combination makes sense is for whoever acts on it (runtime/plan.c).
 *
 * All documents are hostile. No I/O.
 */
#pragma once

#include "oci/config.h"
#include "oci/state.h"

/* The newest version of the runtime specification that is known here. */
#define OCI_VERSION "1.3.0"
