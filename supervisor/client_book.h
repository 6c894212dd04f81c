/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who was attached as a client, for the hub that comes after one that was killed: <runtime_dir>/clients, mapped, so that it outlives a SIGKILL.
 *
 * It holds the next number, because a number names the owner of claims in mailboxes that outlive the hub and is never used twice; and for each
 * number in use the process that has it. A process that is gone can have left a half-written message in any mailbox: its claims are repaired. One
 * that lives will come back with its number.
 *
 * An entry is written before the number is told to anybody, and removed after its claims were repaired.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/attach.h"

#define BT_CLIENT_BOOK_MAGIC UINT64_C(0x314b4f4f42434e42) /* "BNCBOOK1" */

struct bt_client_book_entry {
        _Atomic uint32_t client; /* 0: free; stored last */
        int32_t pid;
        int32_t seg_fd; /* numbers in that process, -1: not known */
        int32_t bell;
        uint64_t epoch;         /* of the segment */
        uint64_t started_ticks; /* bt_proc_started() */
};
static_assert(sizeof(struct bt_client_book_entry) == 32, "fixed");

struct bt_client_book_file {
        uint64_t magic;
        _Atomic uint32_t next; /* number; 0 is none */
        uint32_t reserved;
        struct bt_client_book_entry entries[BT_ATTACH_CLIENTS_MAX];
};

struct bt_client_book {
        struct bt_client_book_file *file; /* NULL: not open */
};

/* Opens or creates @path. 0 or -errno. */
int bt_client_book_open(struct bt_client_book *ret_book, const char *path);
bool bt_client_book_empty(const struct bt_client_book *book); /* no number is in use */
void bt_client_book_close(struct bt_client_book *book);

/* A number that was never given; 0: none is left. */
uint32_t bt_client_book_number(struct bt_client_book *book);
/* A new number for a process. NULL: the book is full, or no number is left. */
struct bt_client_book_entry *bt_client_book_add(struct bt_client_book *book, pid_t pid);
/* The entry of a number that is in use; NULL: there is none. */
struct bt_client_book_entry *bt_client_book_find(struct bt_client_book *book, uint32_t client);
void bt_client_book_remove(struct bt_client_book_entry *entry); /* takes NULL */
