/*
 * cdi — devices by qualified name: vendor.com/class=name, and what a container needs for them.
 * https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md, versions 0.3.0 to 1.1.0.
 *
 * A specification is a small JSON or YAML file in one of a few directories. It names a kind of
 * device, its devices, and the edits of config.json that come with each, and with all of them.
 *
 *   cdi/spec.h   the document, read and checked; no I/O
 *   cdi/yaml.h   YAML as the JSON that the tables read; no I/O
 *
 * The directories are read when devices are asked for, not before: what is on disk is true. A device in
 * a later directory wins over one of the same name in an earlier one; the same name twice in one
 * directory is nobody's. A file that is wrong costs its own devices only.
 *
 * Input is hostile in form: files are bounded (CDI_FILE_MAX, CDI_FILES_MAX), values checked. In
 * substance it is root's: it may mount what it likes. Any thread; blocks on files.
 */
#pragma once

#include "base/base.h"
#include "oci/oci.h"

enum { CDI_FILE_MAX = 4 << 20, CDI_FILES_MAX = 1024, CDI_DEVICES_MAX = 1024 };

/*
 * Applies the edits of the devices to config, in the order of the names, each once; what config
 * points to anew is the arena's. INVALID: a name is none. NOT_FOUND: no specification has it, or two do; names
 * it, and says which file was wrong where that may be the reason. Config may be half changed then.
 */
int cdi_inject(const char *const *dirs, size_t n_dirs, char *const *devices, size_t n_devices,
	       struct oci_config *config, struct arena *a, struct err *err);

/*
 * The devices that annotations ask for: keys "cdi.k8s.io/…", values are names with commas between
 * them. Appends to *list (in the arena) what is not in it yet.
 */
int cdi_of_annotations(const struct json_kv *annotations, size_t n, struct arena *a, char ***list,
		       size_t *n_list,
		       struct err *err);

/* INVALID, saying what is wrong, unless it is vendor/class=name. */
int cdi_name_check(const char *name, struct err *err);
