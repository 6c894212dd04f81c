/* SPDX-License-Identifier: Apache-2.0 */
/* links: baton_testing (store), lmdb, pthread */
/*
 * A hub reduced to its store, to be killed: child_store put|del|get DIR ROUND [power K | kill K | count]
 *
 *      put   replaces the batch (tests/support/store_desk.h) by its states of ROUND
 *      del   deletes the batch's first child, sequence ROUND
 *      get   reads the batch's first child; the parent has damaged it, so this moves it to quarantine
 *
 * Ends with 0 when the store said OK (get: CORRUPT), 3 when not. Three ways to die on the way:
 *
 *      BATON_KILL_AT=name:n     SIGKILL at a fault point (base/check.h)
 *      kill K                   SIGKILL before the K-th write or sync of the store's file
 *      power K                  the same, but what was written since the last sync is kept only in part: any subset of the writes, each possibly cut.
 *                               That is what a disk may show after a power cut.
 *
 * `count` prints how many writes and syncs there are. They are counted by taking the place of libc's functions, which the linker allows a
 * program to do to the libraries it loads. In the power mode writes are held back in memory until the sync, so LMDB must not read them through its map
 * before; it does not, within one transaction. The O_DSYNC descriptor is a write and a sync in one.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "supervisor/store/store_queue.h"
#include "tests/support/store_desk.h"

enum mode {
        MODE_NONE,
        MODE_COUNT,
        MODE_KILL,
        MODE_POWER,
};

struct held {
        int fd;
        off_t off;
        size_t bytes;
        uint8_t *at;
};

#define HELD_MAX 4096

static enum mode mode;      /* set before the store's thread has work */
static long die_at, events; /* the store's thread only */
static struct held held[HELD_MAX];
static size_t held_count;

static bool is_store(int fd)
{
        char link[64], path[512] = "";

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        return mode != MODE_NONE && readlink(link, path, sizeof(path) - 1) > 0 &&
               strlen(path) > 10 && !strcmp(path + strlen(path) - 10, "/store.mdb");
}

static ssize_t real_pwrite(int fd, const void *from, size_t bytes, off_t off)
{
        return syscall(SYS_pwrite64, fd, from, bytes, off);
}

/* A subset that depends on where the power went, so that many runs see many subsets. */
static void held_apply_some(void)
{
        uint64_t x = (uint64_t)die_at * UINT64_C(0x9e3779b97f4a7c15) + 12345;

        for (size_t i = 0; i < held_count; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                if (x & 1)
                        (void)real_pwrite(held[i].fd, held[i].at, x & 2 ? held[i].bytes : held[i].bytes / 2,
                                          held[i].off);
        }
}

/* Before each write and sync. */
static void event(void)
{
        if (++events != die_at || mode == MODE_COUNT)
                return;
        if (mode == MODE_POWER)
                held_apply_some();
        (void)kill(getpid(), SIGKILL);
}

static void held_add(int fd, const void *from, size_t bytes, off_t off)
{
        bt_assert(held_count < HELD_MAX);
        held[held_count] = (struct held){.fd = fd, .off = off, .bytes = bytes, .at = malloc(bytes)};
        bt_assert(held[held_count].at);
        memcpy(held[held_count++].at, from, bytes);
}

static int held_sync(void)
{
        for (size_t i = 0; i < held_count; i++) {
                bt_assert(real_pwrite(held[i].fd, held[i].at, held[i].bytes, held[i].off) == (ssize_t)held[i].bytes);
                free(held[i].at);
        }
        held_count = 0;
        return 0;
}

/* Visible, or the library keeps libc's. NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
#define INSTEAD_OF_LIBC __attribute__((visibility("default")))

INSTEAD_OF_LIBC ssize_t pwrite(int fd, const void *from, size_t bytes, off_t off)
{
        if (!is_store(fd))
                return real_pwrite(fd, from, bytes, off);
        event();
        if (mode == MODE_POWER && !(fcntl(fd, F_GETFL) & O_DSYNC)) {
                held_add(fd, from, bytes, off);
                return (ssize_t)bytes;
        }
        return real_pwrite(fd, from, bytes, off);
}

INSTEAD_OF_LIBC ssize_t writev(int fd, const struct iovec *iov, int count)
{
        ssize_t total = 0;
        off_t off;

        if (!is_store(fd))
                return syscall(SYS_writev, fd, iov, count);
        event();
        if (mode != MODE_POWER)
                return syscall(SYS_writev, fd, iov, count);
        off = lseek(fd, 0, SEEK_CUR);
        for (int i = 0; i < count; i++) {
                held_add(fd, iov[i].iov_base, iov[i].iov_len, off + total);
                total += (ssize_t)iov[i].iov_len;
        }
        return total;
}

INSTEAD_OF_LIBC int fdatasync(int fd)
{
        if (!is_store(fd))
                return (int)syscall(SYS_fdatasync, fd);
        event();
        if (mode == MODE_POWER)
                (void)held_sync();
        return (int)syscall(SYS_fdatasync, fd);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static int run_put(struct desk *desk, struct bt_store *store, uint64_t round)
{
        struct bt_store_item items[BATCH_CHILDREN];
        int r;

        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                items[i] = state_item(batch_child(i), round, batch_bytes(i, round), 0);
        r = desk_put(desk, store, items, BATCH_CHILDREN);
        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                (void)bt_close(items[i].fd);
        return r != BT_STORE_OK;
}

static int run_get(struct desk *desk, struct bt_store *store)
{
        int fd = state_memfd(1 << 20);
        int r = desk_get(desk, store, batch_child(0), fd, 0, 1 << 20);

        (void)bt_close(fd);
        return r != BT_STORE_E_CORRUPT;
}

static int run(const char *what, struct bt_store *store, uint64_t round)
{
        struct desk desk;
        int failed = 1;

        desk_init(&desk);
        store->post_ctx = &desk; /* no job yet */
        store->part_bytes = BATCH_PART_BYTES;
        if (!strcmp(what, "put"))
                failed = run_put(&desk, store, round);
        else if (!strcmp(what, "del"))
                failed = desk_del(&desk, store, batch_child(0), round) != BT_STORE_OK;
        else if (!strcmp(what, "get"))
                failed = run_get(&desk, store);
        desk_deinit(&desk);
        return failed;
}

int main(int argc, char **argv)
{
        struct bt_store *store;
        int failed, r;

        if (argc < 4) {
                (void)fprintf(stderr, "usage: child_store put|del|get DIR ROUND [count | kill K | power K]\n");
                return 2;
        }
        r = bt_store_lmdb_open(&store, argv[2], desk_post, NULL);
        if (r) {
                (void)fprintf(stderr, "child_store: %s: %s\n", argv[2], strerror(-r));
                return 2;
        }
        if (argc > 4)
                mode = !strcmp(argv[4], "count") ? MODE_COUNT : !strcmp(argv[4], "kill") ? MODE_KILL : MODE_POWER;
        die_at = argc > 5 ? strtol(argv[5], NULL, 10) : 0;
        failed = run(argv[1], store, strtoull(argv[3], NULL, 10));
        store = bt_store_close(store);
        if (mode == MODE_COUNT)
                (void)printf("%ld\n", events);
        return failed ? 3 : 0;
}
