/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kill a hub's store at every moment that can matter, open it again, look.
 *
 *      put   the batch is the old one or the new one, as a whole, every byte of it
 *      del   the record is there as a whole, or gone
 *      get   a damaged record is in its place or in quarantine, never in both and never in neither, and is not delivered
 *
 * Moments: each fault point, as often as it is reached; before each write and sync of the file; and a power cut there, where what was not yet
 * synced is on the disk in part. The number of moments is not written here: a run goes on until the program survives.
 *
 * After each death the store must also work: it is opened, everything is read, and a put succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/store/store_key.h"
#include "supervisor/store/store_queue.h"
#include "tests/support/store_desk.h"

#define DEATHS_MAX 500 /* of one kind; a run that never survives is a failure, not a hang */
#define SURVIVED 0
#define KILLED 1

static char dir[64];

static int setup(void **state)
{
        (void)state;
        strcpy(dir, "/tmp/baton-crash-XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static void dir_empty(void)
{
        DIR *d = opendir(dir);
        struct dirent *entry;

        assert_non_null(d);
        while ((entry = readdir(d)))
                if (entry->d_name[0] != '.')
                        assert_int_equal(unlinkat(dirfd(d), entry->d_name, 0), 0);
        (void)closedir(d);
}

static int teardown(void **state)
{
        (void)state;
        dir_empty();
        return rmdir(dir);
}

/* ---- the store, from here ---- */

struct open_store {
        struct desk desk;
        struct bt_store *store;
        int fd;
};

static void store_open(struct open_store *o)
{
        desk_init(&o->desk);
        assert_int_equal(bt_store_lmdb_open(&o->store, dir, desk_post, &o->desk), 0);
        assert_false(bt_store_was_damaged(o->store));
        o->store->part_bytes = BATCH_PART_BYTES;
        o->fd = state_memfd(1 << 20);
}

static void store_close(struct open_store *o)
{
        o->store = bt_store_close(o->store);
        o->fd = bt_close(o->fd);
        desk_deinit(&o->desk);
}

static void store_put_batch(struct open_store *o, uint64_t round)
{
        struct bt_store_item items[BATCH_CHILDREN];

        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                items[i] = state_item(batch_child(i), round, batch_bytes(i, round), 0);
        assert_int_equal(desk_put(&o->desk, o->store, items, BATCH_CHILDREN), BT_STORE_OK);
        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                (void)bt_close(items[i].fd);
}

/* The round of a child's state, after every byte of it was compared; 0: absent. */
static uint64_t store_round(struct open_store *o, size_t idx)
{
        int r = desk_get(&o->desk, o->store, batch_child(idx), o->fd, 0, 1 << 20);
        uint64_t round = o->desk.record.sequence;

        if (r == BT_STORE_E_ABSENT)
                return 0;
        assert_int_equal(r, BT_STORE_OK);
        assert_int_equal(o->desk.record.payload_bytes, batch_bytes(idx, round));
        assert_true(state_is(o->fd, 0, batch_child(idx), round, batch_bytes(idx, round)));
        return round;
}

static size_t store_headers(struct open_store *o, char kind)
{
        struct bt_engine *e = o->store->engine;
        struct bt_key from = {.bytes = 1, .at = {(uint8_t)kind}}, key;
        struct bt_value value;
        size_t count = 0;

        assert_int_equal(e->ops->begin(e, false, 0), 0);
        while (e->ops->seek(e, &from, &key, &value) == 0 && key.at[0] == (uint8_t)kind) {
                count += bt_key_number(&key, key.bytes - 4, 4) == 0;
                bt_key_after(&from, &key);
        }
        e->ops->abort(e);
        return count;
}

static void store_damage(struct open_store *o)
{
        struct bt_engine *e = o->store->engine;
        struct bt_value value;
        uint8_t copy[100];
        struct bt_key key;
        void *room;

        bt_key_record(&key, batch_child(0), 1);
        assert_int_equal(e->ops->begin(e, true, 0), 0);
        assert_int_equal(e->ops->get(e, &key, &value), 0);
        assert_int_equal(value.bytes, sizeof(copy));
        memcpy(copy, value.at, sizeof(copy));
        copy[50] ^= 1;
        assert_int_equal(e->ops->reserve(e, &key, sizeof(copy), &room), 0);
        memcpy(room, copy, sizeof(copy));
        assert_int_equal(e->ops->commit(e), 0);
}

/* ---- the one that dies ---- */

static int run(const char *const argv[], const char *kill_at)
{
        char path[512], variable[128] = "BATON_NOTHING=1";
        char *envp[8] = {variable};
        size_t count = 1;
        pid_t pid;
        int status;

        (void)snprintf(path, sizeof(path), "%s/child_store", BATON_BIN_DIR);
        if (kill_at)
                (void)snprintf(variable, sizeof(variable), "BATON_KILL_AT=%s", kill_at);
        for (size_t i = 0; environ[i] && count < 7; i++)
                if (strstr(environ[i], "SAN_OPTIONS=") || !strncmp(environ[i], "LLVM_PROFILE", 12))
                        envp[count++] = environ[i];
        assert_int_equal(posix_spawn(&pid, path, NULL, NULL, (char *const *)(uintptr_t)argv, envp), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status)) {
                assert_int_equal(WTERMSIG(status), SIGKILL);
                return KILLED;
        }
        assert_int_equal(WEXITSTATUS(status), 0);
        return SURVIVED;
}

typedef void (*look_fn)(struct open_store *o, int outcome, const char *where);

struct scene {
        const char *verb;
        const char *round; /* what the verb is told */
        bool damage;
        look_fn look;
};

static void prepare(const struct scene *scene)
{
        struct open_store o;

        dir_empty();
        store_open(&o);
        store_put_batch(&o, 2);
        if (scene->damage)
                store_damage(&o);
        store_close(&o);
}

/* Kills once; returns whether it did. */
static int one_death(const struct scene *scene, const char *point, const char *disk, long k)
{
        const char *argv[] = {"child_store", scene->verb, dir, scene->round, disk, NULL, NULL};
        char number[32], kill_at[96];
        struct open_store o;
        int outcome;

        prepare(scene);
        (void)snprintf(number, sizeof(number), "%ld", k);
        (void)snprintf(kill_at, sizeof(kill_at), "%s:%ld", point ? point : "", k);
        if (disk)
                argv[5] = number;
        outcome = run(argv, point ? kill_at : NULL);

        store_open(&o);
        scene->look(&o, outcome, point ? point : disk);
        store_put_batch(&o, 4);
        for (size_t i = 0; i < BATCH_CHILDREN; i++)
                assert_int_equal(store_round(&o, i), 4);
        store_close(&o);
        return outcome;
}

/* Returns how often it died before it survived. */
static long deaths(const struct scene *scene, const char *point, const char *disk)
{
        long k = 1;

        while (k < DEATHS_MAX && one_death(scene, point, disk, k) == KILLED)
                k++;
        assert_true(k < DEATHS_MAX);
        return k - 1;
}

static bool after_commit(const char *where)
{
        return strstr(where, ".after_commit") != NULL;
}

static bool before_commit(const char *where)
{
        return strchr(where, '.') && !after_commit(where);
}

/* ---- put ---- */

static void look_put(struct open_store *o, int outcome, const char *where)
{
        uint64_t round = store_round(o, 0);

        assert_true(round == 2 || round == 3);
        for (size_t i = 1; i < BATCH_CHILDREN; i++)
                assert_int_equal(store_round(o, i), round);
        if (outcome == SURVIVED || after_commit(where))
                assert_int_equal(round, 3);
        else if (before_commit(where))
                assert_int_equal(round, 2);
        assert_int_equal(store_headers(o, 'R'), BATCH_CHILDREN);
        assert_int_equal(store_headers(o, 'Q'), 0);
}

static const struct scene putting = {.verb = "put", .round = "3", .look = look_put};

static void a_put_killed_at_any_point_is_whole_or_was_never(void **state)
{
        (void)state;
        assert_int_equal(deaths(&putting, "store.put.begin", NULL), 1);
        assert_int_equal(deaths(&putting, "store.put.part", NULL), 4 + 1 + 1); /* 200000, 10 and 5000 bytes */
        assert_int_equal(deaths(&putting, "store.put.header", NULL), BATCH_CHILDREN);
        assert_int_equal(deaths(&putting, "store.put.before_commit", NULL), 1);
        assert_int_equal(deaths(&putting, "store.put.after_commit", NULL), 1);
}

static void a_put_killed_before_any_write_is_whole_or_was_never(void **state)
{
        (void)state;
        assert_true(deaths(&putting, NULL, "kill") >= 3); /* pages, sync, header */
}

static void a_put_in_a_power_cut_is_whole_or_was_never(void **state)
{
        (void)state;
        assert_true(deaths(&putting, NULL, "power") >= 3);
}

/* ---- del ---- */

static void look_del(struct open_store *o, int outcome, const char *where)
{
        uint64_t round = store_round(o, 0);

        assert_true(round == 0 || round == 2);
        if (outcome == SURVIVED || after_commit(where))
                assert_int_equal(round, 0);
        else if (before_commit(where))
                assert_int_equal(round, 2);
        for (size_t i = 1; i < BATCH_CHILDREN; i++)
                assert_int_equal(store_round(o, i), 2);
        assert_int_equal(store_headers(o, 'R'), round ? BATCH_CHILDREN : BATCH_CHILDREN - 1);
}

static const struct scene deleting = {.verb = "del", .round = "2", .look = look_del};

static void a_delete_killed_at_any_moment_is_whole_or_was_never(void **state)
{
        (void)state;
        assert_int_equal(deaths(&deleting, "store.del.begin", NULL), 1);
        assert_int_equal(deaths(&deleting, "store.del.before_commit", NULL), 1);
        assert_int_equal(deaths(&deleting, "store.del.after_commit", NULL), 1);
        assert_true(deaths(&deleting, NULL, "kill") >= 3);
        assert_true(deaths(&deleting, NULL, "power") >= 3);
}

/* ---- quarantine ---- */

static void look_quarantine(struct open_store *o, int outcome, const char *where)
{
        size_t there = store_headers(o, 'R') - (BATCH_CHILDREN - 1), aside = store_headers(o, 'Q');
        int r;

        assert_int_equal(there + aside, 1);
        if (outcome == SURVIVED || after_commit(where))
                assert_int_equal(aside, 1);
        r = desk_get(&o->desk, o->store, batch_child(0), o->fd, 0, 1 << 20);
        assert_int_equal(r, there ? BT_STORE_E_CORRUPT : BT_STORE_E_ABSENT);
        assert_int_equal(store_headers(o, 'Q'), 1);
        for (size_t i = 1; i < BATCH_CHILDREN; i++)
                assert_int_equal(store_round(o, i), 2);
}

static const struct scene quarantining = {.verb = "get", .round = "2", .damage = true, .look = look_quarantine};

static void a_damaged_record_is_never_lost_nor_doubled(void **state)
{
        (void)state;
        assert_int_equal(deaths(&quarantining, "store.quarantine.begin", NULL), 1);
        assert_int_equal(deaths(&quarantining, "store.quarantine.part", NULL), 2);
        assert_int_equal(deaths(&quarantining, "store.quarantine.before_commit", NULL), 1);
        assert_int_equal(deaths(&quarantining, "store.quarantine.after_commit", NULL), 1);
        assert_true(deaths(&quarantining, NULL, "kill") >= 3);
        assert_true(deaths(&quarantining, NULL, "power") >= 3);
}

/* ---- the lock ---- */

static void a_killed_hub_leaves_no_lock_behind(void **state)
{
        (void)state;
        assert_int_equal(one_death(&putting, "store.put.before_commit", NULL, 1), KILLED);
        assert_int_equal(one_death(&putting, "store.put.before_commit", NULL, 1), KILLED);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                ROW(a_put_killed_at_any_point_is_whole_or_was_never),
                ROW(a_put_killed_before_any_write_is_whole_or_was_never),
                ROW(a_put_in_a_power_cut_is_whole_or_was_never),
                ROW(a_delete_killed_at_any_moment_is_whole_or_was_never),
                ROW(a_damaged_record_is_never_lost_nor_doubled),
                ROW(a_killed_hub_leaves_no_lock_behind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
