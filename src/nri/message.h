/*
 * Pods, containers and limits as the protocol's messages, and limits back. No I/O; messages are
 * the arena's and borrow the strings of what they were made from. Private to nri.
 */
#pragma once

#include "nri/nri.h"

#include "nri.pb-c.h"

#define NRI(name) Nri__Pkg__Api__V1alpha1__##name
#define NRI_TYPE(name) (&nri__pkg__api__v1alpha1__##name##__descriptor)

/* An empty message. */
void *nri_pb_new(struct arena *a, const ProtobufCMessageDescriptor *type);

NRI(PodSandbox) *nri_write_pod(const struct nri_pod *pod, struct arena *a);
NRI(Container) *nri_write_container(const struct nri_container *c, struct arena *a);
NRI(LinuxResources) *nri_write_resources(const struct oci_resources *r, struct arena *a);
/* NULL for NULL. */
char *nri_text(const char *s, struct arena *a);

struct nri_owners;

/*
 * Sets in *into what the message gives, and only that. With owners each field is claimed
 * for the plugin: INVALID when another has it. `update`: of a container that exists, where
 * rules about devices mean nothing and are left out.
 */
int nri_apply_resources(const NRI(LinuxResources) *from, struct nri_owners *owners, const char *id,
			const char *plugin, bool update, struct arena *a, struct oci_resources *into,
			struct err *err);
static inline int nri_read_resources(const NRI(LinuxResources) *from, struct arena *a,
				     struct oci_resources *ret,
				     struct err *err)
{
	return nri_apply_resources(from, NULL, "", "", true, a, ret, err);
}
