/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A store with a desk in front of it, on either engine, for tests of what it does. It is written to and read from by calls that wait (store_desk.h);
 * damage is made through its engine, while no job is under way: the store's thread is then waiting and touches nothing.
 *
 *      ROW(a_test)                                              with stand_setup, stand_teardown
 *      failed = cmocka_run_group_tests_name("in memory", both, NULL, NULL);
 *      stand_on_disk = true;
 *      failed += cmocka_run_group_tests_name("on disk", both, NULL, NULL);
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/store/store_key.h"
#include "supervisor/store/store_queue.h"
#include "tests/support/store_desk.h"

#define PART       4096 /* a record's values are cut to this size */
#define ROOM_BYTES ((uint64_t)1 << 20)

struct stand {
        bool disk;
        char dir[64];
        struct desk desk;
        struct bt_store *store;
        int fd; /* a room to get into */
        int fds_before;
};

extern bool stand_on_disk; /* which engine this run of the list is about */

int stand_setup(void **state);
int stand_teardown(void **state); /* no descriptor is left */
void stand_open(struct stand *f); /* again, after bt_store_close() */

int put_state(struct stand *f, const char *child, uint64_t round, size_t bytes);
int get_state(struct stand *f, const char *child);
/* It is there, of that round, and whole. */
void assert_state(struct stand *f, const char *child, uint64_t round, size_t bytes);
/* For a job that must not be completed. */
void must_not_be_called(void *ctx, int result, const struct bt_record *record);

/* ---- through the engine ---- */

size_t count_keys(struct stand *f, char kind);
size_t value_copy(struct stand *f, const struct bt_key *key, uint8_t *to, size_t room);
void value_set(struct stand *f, const struct bt_key *key, const void *from, size_t bytes);
void value_del(struct stand *f, const char *child, uint32_t part);
void value_flip(struct stand *f, const char *child, uint32_t part, size_t byte);
