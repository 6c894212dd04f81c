/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which processes are ours, for the hub that comes after one that was killed: `<runtime_dir>/processes`, a file of fixed records that is mapped, so
 * that writing is a store.
 *
 *      | head, 4096 | records, 128 bytes each, room for BT_REGISTRY_MAX | texts, 1024 bytes each |
 *
 * A record is filled before its process is started, and the process writes its pid into it itself, before it executes its program: there is no
 * instant at which a process of ours exists that no record names. (The lock of the runtime directory is free only when a killed hub's last
 * half-started process has executed its program, or ended: it holds a copy of the lock's descriptor until then.)
 *
 * What many records have in common, the path of the binary and the name of the node, is a text that they share. A text is written before the first record
 * that names it is live, and its place is used again only after the last one is not: what a live record names is whole at every instant. How many
 * records name it is known to the hub alone; the next one counts.
 *
 * The file is sparse and grows with the number of processes. The whole range that it can ever have is mapped at once, so that a record stays where it is;
 * where the file has no blocks nothing is touched. A process costs 128 bytes, where it cost 1280, and 5 KiB with the records that were only zeroed.
 *
 * The file says who may be there; it proves nothing. A process is ours when it has the link page whose random epoch the record holds, or, for
 * a plain program, when it was started at that very clock tick.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/layout.h"


#define BT_REGISTRY_MAGIC UINT64_C(0x32474552544e4942) /* "BINTREG2" */
#define BT_REGISTRY_TEXT_BYTES 1024 /* with its NUL: a path as long as a request may name, a node's name */
#define BT_REGISTRY_MAX (65536 * 4) /* a child has one process, two in a swap, and those that drain */
#define BT_REGISTRY_TEXTS_MAX (65536 + 256) /* as many binaries as children, and nodes */

struct bt_registry_entry {
        _Atomic uint32_t live;  /* 1: a process was, or is just being, started for this record */
        int32_t pid;            /* written by the process itself */
        uint64_t started_ticks; /* plain programs; 0: not noted yet */
        uint64_t link_epoch;    /* 0: plain program */
        uint64_t incarnation;
        int32_t link_fd;        /* its number in the process, -1 */
        uint32_t socket_count;  /* listening sockets from its descriptor 3 on */
        uint32_t script;
        uint32_t path;          /* text: of the binary */
        uint32_t node;          /* text: where it runs */
        char id[64];
        uint8_t pad[12];
};
static_assert(sizeof(struct bt_registry_entry) == 128, "fixed");

struct bt_registry_head;
struct bt_registry_text;

struct bt_registry {
        int fd;
        uint32_t count;      /* records the file has room for */
        uint32_t free_from;  /* no record below this one is free */
        uint32_t text_count; /* texts the file has room for */
        uint32_t text_free;  /* the first free one; 0: none of those below @text_count */
        struct bt_registry_head *head;
        struct bt_registry_entry *entries; /* NULL: none; then nothing is registered */
        struct bt_registry_text *texts;    /* what the hub knows of them */
        uint32_t *buckets;                 /* texts by what they say */
};

#define BT_REGISTRY_NULL {.fd = -1}

/* Opens or creates @path with room for @count records, to begin with; keeps those that are there. 0 or -errno. */
int bt_registry_open(struct bt_registry *ret_registry, const char *path, uint32_t count);
void bt_registry_close(struct bt_registry *registry);

/* A free record, all zero but for its two texts; NULL: the disk is full, or a bound is reached. It counts from the moment its @live is set. */
struct bt_registry_entry *bt_registry_add(struct bt_registry *registry, const char *path, const char *node);
void bt_registry_remove(struct bt_registry *registry, struct bt_registry_entry *entry); /* takes NULL */

/* Records up to here were used at some time; behind it there are none. */
uint32_t bt_registry_used(const struct bt_registry *registry);
bool bt_registry_live(const struct bt_registry *registry, uint32_t idx);
/* What it names by @text, one of its members; "" when that is no text. */
const char *bt_registry_text(const struct bt_registry *registry, uint32_t text);
