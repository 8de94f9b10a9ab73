/*
 * What CRI requests ask for, as the pod room's structs: the tables (wire.h) of the
 * configurations and of the parts of them that statuses give back.
 */
#pragma once

#include "cri/wire.h"
#include "pod/pod.h"

/* PodSandboxConfig ↔ struct pod_config (all but handler). */
extern const struct wire_type cri_pod_config;
/* ContainerConfig ↔ struct pod_container_config. */
extern const struct wire_type cri_container_config;

extern const struct wire_type cri_resources;  /* LinuxContainerResources */
extern const struct wire_type cri_mount;      /* Mount */
extern const struct wire_type cri_namespaces; /* NamespaceOption */

/* parts of the two configurations (isolation.c) */
extern const struct wire_type cri_id_map;       /* IDMapping */
extern const struct wire_type cri_pod_security; /* LinuxSandboxSecurityContext */
extern const struct wire_type cri_security;     /* LinuxContainerSecurityContext */

/* CRI numbers signals by their alphabet: Signal → Linux' number (0: the runtime's default),
 * -EINVAL for no such value; and back, 0 where there is none. */
int cri_signal_number(int signal);
int cri_signal_of(int number);
