/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which processes are ours, for the hub that comes after one that was killed: `<runtime_dir>/processes`, a file of fixed records that is mapped, so
 * that writing is a store.
 *
 * A record is filled before its process is started, and the process writes its pid into it itself, before it executes its program: there is no
 * instant at which a process of ours exists that no record names. (The lock of the runtime directory is free only when a killed hub's last
 * half-started process has executed its program, or ended: it holds a copy of the lock's descriptor until then.)
 *
 * The file grows with the number of processes. The whole range that it can ever have is mapped at once, so that a record stays where it is; behind the
 * end of the file nothing is touched.
 *
 * The file says who may be there; it proves nothing. A process is ours when it has the link page whose random epoch the record holds, or, for
 * a plain program, when it was started at that very clock tick.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "shm/layout.h"


#define BT_REGISTRY_MAGIC UINT64_C(0x31474552544e4942) /* "BINTREG1" */
#define BT_REGISTRY_PATH_BYTES 1024
#define BT_REGISTRY_MAX (65536 * 4) /* a child has one process, two in a swap, and those that drain */

struct bt_registry_entry {
        _Atomic uint32_t live;  /* 1: a process was, or is just being, started for this record */
        int32_t pid;            /* written by the process itself */
        uint64_t started_ticks; /* plain programs; 0: not noted yet */
        uint64_t link_epoch;    /* 0: plain program */
        uint64_t incarnation;
        int32_t link_fd;        /* its number in the process, -1 */
        uint32_t socket_count;  /* listening sockets from its descriptor 3 on */
        uint32_t script;
        uint32_t reserved;
        char id[64];
        char path[BT_REGISTRY_PATH_BYTES]; /* of the binary */
        char node[BT_NODE_NAME_BYTES];     /* where it runs */
        uint8_t pad[80];
};
static_assert(sizeof(struct bt_registry_entry) == 1280, "fixed");

struct bt_registry {
        int fd;
        uint32_t count;     /* records the file has room for */
        uint32_t free_from; /* no record below this one is free */
        struct bt_registry_entry *entries; /* NULL: none; then nothing is registered */
};

#define BT_REGISTRY_NULL {.fd = -1}

/* Opens or creates @path with room for @count records, to begin with; keeps those that are there. 0 or -errno. */
int bt_registry_open(struct bt_registry *ret_registry, const char *path, uint32_t count);
void bt_registry_close(struct bt_registry *registry);

/* A free record, zeroed; NULL: the disk is full, or BT_REGISTRY_MAX is reached. It counts from the moment its @live is set. */
struct bt_registry_entry *bt_registry_add(struct bt_registry *registry);
void bt_registry_remove(struct bt_registry *registry, struct bt_registry_entry *entry); /* takes NULL */
