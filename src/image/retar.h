/*
 * A layer's tree as a tar stream again, for an image whose blobs were not kept.
 *
 * Overlay's own markers become those of the image specification: a device 0/0 is ".wh.x", an
 * opaque directory gets ".wh..wh..opq". Names are sorted, so one tree always gives one
 * stream; it is not the stream that the tree came from, whose order and padding nobody
 * wrote down. Hard links, holes, attributes, times to the nanosecond are kept. The layer is
 * published, so it does not change; what is in it is hostile: nothing is followed.
 */
#pragma once

#include "base/base.h"

/* root: whether the tree has its own entry for "/". Written to out_fd from where it stands. */
int retar_layer(int dirfd, bool root, int out_fd, struct err *err);
