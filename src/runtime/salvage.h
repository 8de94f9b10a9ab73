#pragma once

#include "runtime/record.h"

/*
 * delete --force of a container whose record cannot be read: what runs under its name is ended where that is
 * proven to be its own, and the record removed. STATE: something has its name and is not proven; nothing was
 * touched. *why says what is wrong with the record.
 */
int salvage_delete(const char *root, const char *id, const char *why, struct err *err);
