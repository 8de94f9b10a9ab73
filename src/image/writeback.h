/*
 * Layers go to the disk while they are unpacked. Publishing an image syncs the file system once,
 * and all that the pull has left in memory until then is waited for there, with nothing else to do.
 * So a thread of the table begins with it as soon as a layer has been at work for a moment; what
 * it writes early is a matter of time alone, and the sync of publishing stays what counts.
 */
#pragma once

struct image_table;

/* A layer begins, and ends: between them the disk is kept busy. Any thread; neither waits for it. */
void writeback_begin(struct image_table *t);
void writeback_end(struct image_table *t);
