/*
 * base — memory and cleanup, errors, text, lists, maps, time, log.
 *
 * The bottom rung: libc only, no other room is included from here. Everything in base
 * may be called from any thread; nothing in base blocks except writing a log line.
 *
 *   base/mem.h    cleanup attributes, take_ptr/take_fd, allocation that cannot fail
 *   base/err.h    the one error idiom: kinds, struct err, err_set/err_wrap
 *   base/arena.h  bump allocation for documents: build many things, free them at once
 *   base/buf.h    a bounded, growing byte buffer; formatted appends
 *   base/base64.h bytes as text and back
 *   base/str.h    small string predicates and number parsing that reject what is not whole
 *   base/list.h   intrusive doubly linked list
 *   base/map.h    string-keyed hash map with borrowed keys
 *   base/time.h   clocks in nanoseconds, RFC 3339
 *   base/id.h     random identifiers
 *   base/fault.h  fault points for tests, nothing in releases
 *   base/log.h    levelled log for programs; libraries do not log
 *
 * After clone, in a child that shares nothing but a copied heap, only err.h, str.h and
 * time.h may be used: they neither allocate nor lock.
 */
#pragma once

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
