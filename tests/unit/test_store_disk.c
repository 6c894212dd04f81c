/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store and its disk: locks, growth, full disks, files that are damaged, and the golden file of version 1.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "supervisor/store/store_records.h"
#include "tests/support/seed.h"
#include "tests/support/store_stand.h"

/* ---- the disk ---- */

static void reopen(struct stand *f)
{
        f->store = bt_store_close(f->store);
        stand_open(f);
}

static const char *path_of(const struct stand *f, const char *name)
{
        static char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        return path;
}

static void a_second_hub_is_refused_while_the_first_is_there(void **state)
{
        struct stand *f = *state;
        struct bt_store *second = NULL;
        int fds = bt_fd_count();

        assert_int_equal(bt_store_lmdb_open(&second, f->dir, desk_post, &f->desk), -EBUSY);
        assert_null(second);
        assert_int_equal(bt_fd_count(), fds);
        assert_int_equal(put_state(f, "web/0", 1, 100), BT_STORE_OK);
        reopen(f);
        assert_state(f, "web/0", 1, 100);
}

static void a_folder_that_cannot_be_had_is_an_error(void **state)
{
        struct stand *f = *state;
        struct bt_store *store = NULL;

        assert_int_equal(
                bt_store_lmdb_open(&store, path_of(f, "no/such/folder"), desk_post, &f->desk),
                -ENOENT);
        assert_int_equal(bt_store_lmdb_open(&store, path_of(f, "store.mdb"), desk_post, &f->desk),
                         -ENOTDIR);
        assert_null(store);
}

static void files_are_private_and_closed_on_exec(void **state)
{
        static const char *const names[] = {"store.mdb", "store.mdb-lock", "store.lock"};
        struct stand *f = *state;
        struct stat st;

        for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
                assert_int_equal(stat(path_of(f, names[i]), &st), 0);
                assert_int_equal(st.st_mode & 0777, 0600);
        }
        assert_int_equal(put_state(f, "web/0", 1, 100), BT_STORE_OK);
        for (int fd = 3; fd < 256; fd++) {
                char link[64], path[256] = "";

                (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
                if (readlink(link, path, sizeof(path) - 1) > 0 &&
                    !strncmp(path, f->dir, strlen(f->dir)))
                        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        }
}

static void the_map_grows_with_what_is_put_into_it(void **state)
{
        struct stand *f = *state;
        size_t bytes = (size_t)100 << 20;
        int fd = state_memfd(bytes);
        char name[24];

        /* Large values, whose need is known; then very many small ones, whose loss to pages is not. */
        f->store->part_bytes = BT_STORE_PART_BYTES;
        assert_int_equal(put_state(f, "large", 1, bytes), BT_STORE_OK);
        assert_int_equal(put_state(f, "large", 2, bytes), BT_STORE_OK);
        assert_int_equal(desk_get(&f->desk, f->store, "large", fd, 0, bytes), BT_STORE_OK);
        assert_true(state_is(fd, 0, "large", 2, bytes));
        (void)bt_close(fd);

        f->store->part_bytes = 1;
        for (int i = 0; i < 2; i++) {
                (void)snprintf(name, sizeof(name), "small/%d", i);
                assert_int_equal(put_state(f, name, 1, 400000), BT_STORE_OK);
                assert_state(f, name, 1, 400000);
        }
}

static void a_large_file_without_records_is_given_back_at_open(void **state)
{
        struct stand *f = *state;
        struct stat st;

        assert_int_equal(put_state(f, "large", 1, (size_t)80 << 20), BT_STORE_OK);
        reopen(f);
        assert_int_equal(stat(path_of(f, "store.mdb"), &st), 0);
        assert_true(st.st_size >= 80 << 20);
        assert_int_equal(desk_del(&f->desk, f->store, "large", 1), BT_STORE_OK);
        reopen(f);
        assert_int_equal(stat(path_of(f, "store.mdb"), &st), 0);
        assert_true(st.st_size < 1 << 20);
        assert_false(bt_store_was_damaged(f->store));
        assert_int_equal(put_state(f, "web/0", 1, 100), BT_STORE_OK);
        assert_state(f, "web/0", 1, 100);
}

static void a_full_disk_is_told_and_costs_nothing_that_is_stored(void **state)
{
        struct stand *f = *state;
        struct rlimit before, limit;
        struct stat st;

        assert_int_equal(put_state(f, "web/0", 1, 50000), BT_STORE_OK);
        assert_int_equal(stat(path_of(f, "store.mdb"), &st), 0);
        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        for (rlim_t more = 0; more < 400000; more += 50000) {
                /* memfds obey the limit too, so what is put is made before it and read in place. */
                struct bt_store_item item = state_item("web/0", 2, 500000, 0);

                limit = before;
                limit.rlim_cur = (rlim_t)st.st_size + more;
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
                assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_E_ROOM);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
                (void)bt_close(item.fd);
                assert_state(f, "web/0", 1, 50000);
        }
        assert_int_equal(put_state(f, "web/0", 3, 500000), BT_STORE_OK);
        assert_state(f, "web/0", 3, 500000);
        assert_false(bt_store_was_damaged(f->store));
}

static void file_copy(const char *from, const char *to)
{
        uint8_t room[65536];
        int in = open(from, O_RDONLY | O_CLOEXEC),
            out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ssize_t n;

        assert_true(in >= 0 && out >= 0);
        while ((n = read(in, room, sizeof(room))) > 0)
                assert_int_equal(bt_write_all(out, room, (size_t)n), 0);
        assert_int_equal(n, 0);
        (void)bt_close(in);
        (void)bt_close(out);
}

/* Whatever is wrong with the file: the store opens, says something sane of each child, and takes new states. */
static void assert_survives(struct stand *f)
{
        stand_open(f);
        for (size_t i = 0; i < BATCH_CHILDREN; i++) {
                int r = get_state(f, batch_child(i));

                assert_true(r == BT_STORE_OK || r == BT_STORE_E_ABSENT || r == BT_STORE_E_CORRUPT);
                if (r == BT_STORE_OK)
                        assert_true(state_is(f->fd, 64, batch_child(i), f->desk.record.sequence,
                                             batch_bytes(i, f->desk.record.sequence)));
                else if (r == BT_STORE_E_ABSENT)
                        assert_true(bt_store_was_damaged(f->store));
        }
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        assert_int_equal(put_state(f, "new", 1, 70000), BT_STORE_OK);
        assert_state(f, "new", 1, 70000);
}

static void put_batch(struct stand *f, uint64_t round)
{
        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                assert_int_equal(put_state(f, batch_child(i), round, batch_bytes(i, round)),
                                 BT_STORE_OK);
}

static void a_truncated_file_is_never_fatal(void **state)
{
        struct stand *f = *state;
        char whole[160], bad[160];
        struct stat st;

        (void)snprintf(whole, sizeof(whole), "%s/whole", f->dir);
        put_batch(f, 1);
        put_batch(f, 2);
        f->store = bt_store_close(f->store);
        (void)snprintf(bad, sizeof(bad), "%s", path_of(f, "store.mdb"));
        assert_int_equal(rename(bad, whole), 0);
        assert_int_equal(stat(whole, &st), 0);
        for (off_t bytes = 0; bytes < st.st_size; bytes += bytes < 16384 ? 1024 : 12288) {
                file_copy(whole, bad);
                assert_int_equal(truncate(bad, bytes), 0);
                if (bytes == 0) {
                        stand_open(f); /* nothing was ever there */
                        assert_int_equal(get_state(f, "db"), BT_STORE_E_ABSENT);
                } else {
                        assert_survives(f);
                }
                f->store = bt_store_close(f->store);
        }
        stand_open(f);
}

/* One page of @fd is not what it was. */
static void spoil(int fd, off_t bytes, struct seed *seed)
{
        uint8_t page[4096], other[4096];
        off_t pages = bytes / (off_t)sizeof(page),
              at = (off_t)seed_below(seed, (uint64_t)pages) * (off_t)sizeof(page);
        uint64_t word = seed_below(seed, 2) ? seed_next(seed) : seed_below(seed, 64);

        assert_int_equal(pread(fd, page, sizeof(page), at), sizeof(page));
        assert_int_equal(pread(fd, other, sizeof(other),
                               (off_t)seed_below(seed, (uint64_t)pages) * (off_t)sizeof(page)),
                         sizeof(page));
        switch (seed_below(seed, 7)) {
        case 0: /* other bytes */
                for (size_t i = 0; i < sizeof(page); i++)
                        page[i] = (uint8_t)seed_next(seed);
                break;
        case 1: /* another head */
                for (size_t i = 0; i < 16; i++)
                        page[i] = (uint8_t)seed_next(seed);
                break;
        case 2: /* another offset, or size */
                memcpy(page + 10 + 2 * seed_below(seed, 30), &word, 2);
                break;
        case 3: /* one bit */
                page[seed_below(seed, sizeof(page))] ^= (uint8_t)(1u << seed_below(seed, 8));
                break;
        case 4:
                memset(page, 0, sizeof(page));
                break;
        case 5: /* what belongs elsewhere */
                memcpy(page, other, sizeof(page));
                break;
        default: /* another number somewhere */
                memcpy(page + 8 * seed_below(seed, sizeof(page) / 8), &word, sizeof(word));
                break;
        }
        assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
}

/* Opened, read, written to and opened again: nothing of it may crash or hang, and a state that is said to be whole is. */
static void assert_bears(struct stand *f)
{
        stand_open(f);
        for (size_t i = 0; i < BATCH_CHILDREN; i++) {
                int r = get_state(f, batch_child(i));

                assert_true(r == BT_STORE_OK || r == BT_STORE_E_ABSENT || r == BT_STORE_E_CORRUPT ||
                            r == -EPROTONOSUPPORT);
                if (r == BT_STORE_OK)
                        assert_true(state_is(f->fd, 64, batch_child(i), f->desk.record.sequence,
                                             batch_bytes(i, f->desk.record.sequence)));
        }
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        for (size_t i = 0; i < BATCH_CHILDREN; i += 2)
                assert_true(desk_del(&f->desk, f->store, batch_child(i), 2) >= 0);
        put_batch(f, 3);
        reopen(f);
        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                assert_state(f, batch_child(i), 3, batch_bytes(i, 3));
}

static void a_file_with_a_page_that_was_written_over_is_never_fatal(void **state)
{
        struct stand *f = *state;
        struct seed seed = seed_new();
        char whole[160], bad[160];
        struct stat st;

        (void)snprintf(whole, sizeof(whole), "%s/whole", f->dir);
        put_batch(f, 1);
        for (int i = 0; i < 300; i++) { /* enough for a tree with branches */
                char name[24];

                (void)snprintf(name, sizeof(name), "many/%d", i);
                assert_int_equal(put_state(f, name, 1, 100), BT_STORE_OK);
        }
        for (int i = 0; i < 300; i += 3) { /* and for lists of free pages */
                char name[24];

                (void)snprintf(name, sizeof(name), "many/%d", i);
                assert_int_equal(desk_del(&f->desk, f->store, name, 1), BT_STORE_OK);
        }
        put_batch(f, 2);
        f->store = bt_store_close(f->store);
        (void)snprintf(bad, sizeof(bad), "%s", path_of(f, "store.mdb"));
        assert_int_equal(rename(bad, whole), 0);
        assert_int_equal(stat(whole, &st), 0);
        for (uint64_t i = 0; i < seed_rounds(60); i++) {
                int fd;

                file_copy(whole, bad);
                fd = open(bad, O_RDWR | O_CLOEXEC);
                assert_true(fd >= 0);
                spoil(fd, st.st_size, &seed);
                (void)bt_close(fd);
                assert_bears(f);
                f->store = bt_store_close(f->store);
        }
        file_copy(whole, bad);
        stand_open(f);
        assert_false(bt_store_was_damaged(f->store)); /* the walk finds nothing where nothing is */
        assert_state(f, batch_child(0), 2, batch_bytes(0, 2));
}

static void a_file_that_is_no_store_is_set_aside(void **state)
{
        struct stand *f = *state;
        char text[20000];
        struct stat st;
        int fd;

        f->store = bt_store_close(f->store);
        memset(text, 'x', sizeof(text));
        fd = open(path_of(f, "store.mdb"), O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, text, sizeof(text)), 0);
        (void)bt_close(fd);
        assert_survives(f);
        assert_true(bt_store_was_damaged(f->store));
        assert_int_equal(stat(path_of(f, "store.mdb.bad"), &st), 0);
        assert_int_equal(st.st_size, sizeof(text));
        reopen(f);
        assert_false(bt_store_was_damaged(f->store));
        assert_state(f, "new", 1, 70000);
}

/* The golden file was written by `store_disk --write DIR` on a little-endian 64-bit machine with pages of 4096 bytes. */
static void put_golden(struct stand *f)
{
        static const size_t sizes[] = {0, 5, 6000};
        struct bt_store_item items[3];

        for (size_t i = 0; i < 3; i++) {
                char name[8];

                (void)snprintf(name, sizeof(name), "g/%zu", i);
                items[i] = state_item(name, i + 10, sizes[i], 0);
                items[i].record.wall_ns = 1700000000000000000;
        }
        assert_int_equal(desk_put(&f->desk, f->store, items, 3), BT_STORE_OK);
        for (size_t i = 0; i < 3; i++)
                (void)bt_close(items[i].fd);
}

static void a_store_of_version_1_can_be_read(void **state)
{
        struct stand *f = *state;

        if (BT_ABI_THIS != ((UINT32_C(1) << 24) | (8u << 16) | 4096u))
                skip();
        f->store = bt_store_close(f->store);
        file_copy(BATON_SOURCE_DIR "/tests/golden/store-v1.mdb", path_of(f, "store.mdb"));
        stand_open(f);
        assert_false(bt_store_was_damaged(f->store));
        assert_int_equal(desk_list(&f->desk, f->store), 0);
        assert_int_equal(f->desk.record_count, 3);
        assert_state(f, "g/0", 10, 0);
        assert_state(f, "g/1", 11, 5);
        assert_state(f, "g/2", 12, 6000);
        assert_int_equal(f->desk.record.version, 3);
        assert_int_equal(f->desk.record.version_oldest, 2);
        assert_int_equal(f->desk.record.incarnation, 52);
        assert_true(f->desk.record.wall_ns == 1700000000000000000);
        assert_int_equal(desk_del(&f->desk, f->store, "g/2", 12), BT_STORE_OK);
}

/* Needs 4 GiB of memory and of disk: only when BATON_LONG is set. */
static void a_state_above_four_gigabytes_is_read_back(void **state)
{
        struct stand *f = *state;
        uint64_t bytes = (UINT64_C(4) << 30) + 12345;
        struct bt_store_item item;
        uint8_t tail[5] = "tail", got[5] = "";
        int fd;

        if (!getenv("BATON_LONG"))
                skip();
        f->store->part_bytes = BT_STORE_PART_BYTES;
        item = state_item("huge", 1, 100, 0);
        item.record.payload_bytes = bytes;
        assert_int_equal(ftruncate(item.fd, (off_t)bytes), 0);
        assert_int_equal(pwrite(item.fd, tail, 5, (off_t)bytes - 5), 5);
        assert_int_equal(desk_put(&f->desk, f->store, &item, 1), BT_STORE_OK);
        (void)bt_close(item.fd);
        fd = state_memfd(bytes);
        assert_int_equal(desk_get(&f->desk, f->store, "huge", fd, 0, bytes), BT_STORE_OK);
        assert_true(state_is(fd, 0, "huge", 1, 100));
        assert_int_equal(pread(fd, got, 5, (off_t)bytes - 5), 5);
        assert_memory_equal(got, tail, 5);
        (void)bt_close(fd);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, stand_setup, stand_teardown)

static const struct CMUnitTest disk[] = {
        ROW(a_second_hub_is_refused_while_the_first_is_there),
        ROW(a_folder_that_cannot_be_had_is_an_error),
        ROW(files_are_private_and_closed_on_exec),
        ROW(the_map_grows_with_what_is_put_into_it),
        ROW(a_large_file_without_records_is_given_back_at_open),
        ROW(a_full_disk_is_told_and_costs_nothing_that_is_stored),
        ROW(a_truncated_file_is_never_fatal),
        ROW(a_file_with_a_page_that_was_written_over_is_never_fatal),
        ROW(a_file_that_is_no_store_is_set_aside),
        ROW(a_store_of_version_1_can_be_read),
        ROW(a_state_above_four_gigabytes_is_read_back),
};

static int write_golden(const char *dir)
{
        struct stand f = {.disk = true};

        (void)snprintf(f.dir, sizeof(f.dir), "%s", dir);
        desk_init(&f.desk);
        stand_open(&f);
        put_golden(&f);
        f.store = bt_store_close(f.store);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc == 3 && !strcmp(argv[1], "--write"))
                return write_golden(argv[2]);
        stand_on_disk = true;
        return cmocka_run_group_tests_name("the disk", disk, NULL, NULL);
}
