/* The field table of the state document, in the order in which runtimes print it. */
#include "oci/state.h"

static const struct json_field state_fields[] = {
	JSON_FIELD(STR, struct oci_state, oci_version, "ociVersion", JSON_ALWAYS),
	JSON_FIELD(STR, struct oci_state, id, "id", JSON_REQUIRED | JSON_ALWAYS),
	JSON_FIELD(STR, struct oci_state, status, "status", JSON_ALWAYS),
	JSON_FIELD(I32, struct oci_state, pid, "pid", 0),
	JSON_FIELD(STR, struct oci_state, bundle, "bundle", JSON_ALWAYS),
	JSON_FIELD_LIST(STR_MAP, struct oci_state, annotations, "annotations", 0),
};
const struct json_type oci_state_type = JSON_TYPE("state", struct oci_state, state_fields);

static const struct json_field process_state_fields[] = {
	JSON_FIELD(STR, struct oci_process_state, oci_version, "ociVersion", JSON_ALWAYS),
	JSON_FIELD_LIST(STR_LIST, struct oci_process_state, fds, "fds", 0),
	JSON_FIELD(I32, struct oci_process_state, pid, "pid", JSON_ALWAYS),
	JSON_FIELD(STR, struct oci_process_state, metadata, "metadata", 0),
	JSON_FIELD_OBJ(OBJ, struct oci_process_state, state, "state", JSON_ALWAYS, &oci_state_type),
};
const struct json_type oci_process_state_type =
	JSON_TYPE("process state", struct oci_process_state, process_state_fields);
