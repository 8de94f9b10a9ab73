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
