/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where arenas are mapped, and by what pages: huge ones are asked for where they fit, and used where the machine allows them. The tests read its
 * setting and do not change it. And arenas that were stored at an address that was used before, or at one that nobody knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/huge.h"
#include "supervisor/store/store.h"
#include "tests/support/store_desk.h"
#include "tests/support/world.h"

#define PROBE_ARENA WORLD_PROBE_FORM("arena")

/* ---- the mapping, by smaps ---- */

struct place {
        uint64_t addr;
        uint64_t off;
        uint64_t huge_bytes;
        bool advised;
};

/* "begin-end perms offset ...", which no other line of smaps looks like. */
static bool is_mapping(const char *line, uint64_t *ret_begin, uint64_t *ret_off)
{
        char *end;

        *ret_begin = strtoull(line, &end, 16);
        if (end == line || *end != '-')
                return false;
        (void)strtoull(end + 1, &end, 16);
        *ret_off = strtoull(end + strlen(" rw-s "), NULL, 16);
        return true;
}

/* Of the process that serves as @id: its mapping that begins at @addr; false: there is none. */
static bool place_of(struct world *w, const char *id, uint64_t addr, struct place *ret_place)
{
        static const char huge[] = "ShmemPmdMapped:", flags[] = "VmFlags:";
        struct bt_slot slot;
        char path[64], line[512];
        bool in = false, found = false;
        FILE *file;

        world_slot(w, id, &slot);
        (void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)slot.pid);
        file = fopen(path, "re");
        assert_non_null(file);
        *ret_place = (struct place){.addr = addr};
        while (fgets(line, sizeof(line), file)) {
                uint64_t begin, off;

                if (is_mapping(line, &begin, &off)) {
                        in = begin == addr;
                        found |= in;
                        if (in)
                                ret_place->off = off;
                } else if (in && strncmp(line, huge, strlen(huge)) == 0) {
                        ret_place->huge_bytes = strtoull(line + strlen(huge), NULL, 10) << 10;
                } else if (in && strncmp(line, flags, strlen(flags)) == 0) {
                        ret_place->advised = strstr(line, " hg") != NULL;
                }
        }
        (void)fclose(file);
        return found;
}

static void set_keys(const struct world *w, uint32_t keys)
{
        int fd = kv_dial(w);

        kv_say(fd, "DEBUG POPULATE %u key 1000\r\n", keys);
        kv_hear(fd, "+OK\r\n");
        (void)close(fd);
}

static int64_t keys_of(const struct world *w)
{
        int fd = kv_dial(w);
        int64_t keys = kv_number(fd, "DBSIZE");

        (void)close(fd);
        return keys;
}

static void touch_last_key(const struct world *w)
{
        int fd = kv_dial(w);

        kv_say(fd, "GET key:19999\r\n");
        kv_hear(fd, "$1000\r\nvalue:19999");
        (void)close(fd);
}

static void each_process_maps_a_large_arena_where_huge_pages_fit_and_asks_for_them(void **state)
{
        struct world *w = *state;
        struct place place;
        char choice[BT_HUGE_TEXT];
        bool possible = *bt_huge_choice(choice);

        world_start(w, WORLD_KV);
        set_keys(w, 1000);
        for (int i = 0; i < 3; i++) {
                assert_true(place_of(w, "kv", BT_ARENA_ADDR, &place));
                assert_int_equal(place.off, sizeof(struct bt_baton));
                assert_int_equal((place.addr - place.off) % BT_HUGE_BYTES, 0);
                assert_int_equal(place.advised, possible);
                assert_int_equal(keys_of(w), 1000);
                world_swap(w, "kv", NULL, i ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
        }
        world_end(w);
}

static void a_small_arena_does_not_ask_for_them(void **state)
{
        struct world *w = *state;
        struct place place;

        world_start(w, PROBE_ARENA);
        assert_true(place_of(w, "probe", BT_ARENA_ADDR, &place));
        assert_false(place.advised);
        world_end(w);
}

/* Until it has more than 2 MiB in it: nothing is lost on a large arena with little in it. */
static void an_arena_has_huge_pages_when_it_has_grown_and_the_machine_gives_them(void **state)
{
        struct world *w = *state;
        char choice[BT_HUGE_TEXT];
        struct place place;

        if (!bt_huge_given()) {
                (void)fprintf(stderr,
                              "skipped: shmem_enabled is '%s': no huge pages in shared memory\n",
                              bt_huge_choice(choice));
                skip();
        }
        world_start(w, WORLD_KV);
        set_keys(w, 100);
        assert_true(place_of(w, "kv", BT_ARENA_ADDR, &place));
        assert_int_equal(place.huge_bytes, 0);
        world_swap(w, "kv", NULL, BT_STRATEGY_HOT);
        assert_int_equal(keys_of(w), 100);
        set_keys(w, 20000);
        assert_true(place_of(w, "kv", BT_ARENA_ADDR, &place));
        if (!place.huge_bytes) {
                (void)fprintf(stderr, "skipped: the machine has no free huge page now\n");
                world_end(w);
                skip();
        }
        world_swap(w, "kv", NULL, BT_STRATEGY_HOT);
        assert_true(place_of(w, "kv", BT_ARENA_ADDR, &place));
        assert_true(place.huge_bytes > 0); /* the successor's page tables, too */
        assert_int_equal(keys_of(w), 20000);
        world_stop(w);
        world_start_again(w);
        touch_last_key(w);
        assert_true(place_of(w, "kv", BT_ARENA_ADDR, &place));
        assert_true(place.huge_bytes > 0); /* so was it read from the store */
        assert_int_equal(keys_of(w), 20000);
        world_end(w);
}

static void a_swap_of_a_large_arena_by_small_pages_is_mentioned_once(void **state)
{
        static const char large[] = "arena, max: 128MiB";
        struct world *w = *state;
        char yaml[sizeof(WORLD_KV) + sizeof(large)], *end;

        (void)snprintf(yaml, sizeof(yaml), "%s", WORLD_KV);
        end = strstr(yaml, "arena");
        assert_non_null(end);
        (void)snprintf(end, sizeof(yaml) - (size_t)(end - yaml), "%s}\n", large);
        world_start(w, yaml);
        world_swap(w, "kv", NULL, BT_STRATEGY_HOT);
        assert_int_equal(world_log_count(w, "huge ones are off"), 0);
        set_keys(w, 70000);
        for (int i = 0; i < 3; i++)
                world_swap(w, "kv", NULL, i ? BT_STRATEGY_COLD : BT_STRATEGY_HOT);
        assert_int_equal(world_log_count(w, "huge ones are off"), !bt_huge_given());
        world_end(w);
}

/* ---- what was stored elsewhere ---- */

/* The stored record of the probe, as if its arena had been at @addr. There are no pointers in it. */
static void store_moved(const struct world *w, uint64_t addr)
{
        struct bt_store_item item = {.fd = state_memfd(UINT64_C(1) << 20)};
        struct bt_store *store = NULL;
        struct desk desk;
        char dir[128];

        (void)snprintf(dir, sizeof(dir), "%s/state/w", w->dir);
        desk_init(&desk);
        assert_int_equal(bt_store_lmdb_open(&store, dir, desk_post, &desk), 0);
        assert_int_equal(desk_get(&desk, store, "probe", item.fd, 0, UINT64_C(1) << 20),
                         BT_STORE_OK);
        item.record = desk.record;
        item.record.arena_addr = addr;
        assert_int_equal(desk_put(&desk, store, &item, 1), BT_STORE_OK);
        (void)bt_store_close(store);
        (void)close(item.fd);
        desk_deinit(&desk);
}

static long long count_up(const struct world *w)
{
        int fd = probe_dial(w);
        long long number = probe_number(fd, "count");

        (void)close(fd);
        return number;
}

static void an_arena_that_an_earlier_build_stored_comes_back_at_its_own_address(void **state)
{
        struct world *w = *state;
        struct place place;

        world_start(w, PROBE_ARENA);
        assert_int_equal(count_up(w), 1);
        world_stop(w);
        store_moved(w, BT_ARENA_ADDR_FIRST);
        world_start_again(w);
        assert_true(place_of(w, "probe", BT_ARENA_ADDR_FIRST, &place));
        assert_false(place_of(w, "probe", BT_ARENA_ADDR, &place));
        assert_int_equal(count_up(w), 2);
        world_swap(w, "probe", NULL, BT_STRATEGY_HOT);
        world_swap(w, "probe", NULL, BT_STRATEGY_COLD);
        assert_int_equal(count_up(w), 3);
        world_stop(w); /* and is stored with it */
        world_start_again(w);
        assert_true(place_of(w, "probe", BT_ARENA_ADDR_FIRST, &place));
        assert_int_equal(count_up(w), 4);
        world_end(w);
}

static void an_arena_of_an_address_that_nobody_knows_is_set_aside(void **state)
{
        struct world *w = *state;
        struct place place;

        world_start(w, PROBE_ARENA);
        assert_int_equal(count_up(w), 1);
        world_stop(w);
        store_moved(w, BT_ARENA_ADDR + BT_HUGE_BYTES);
        world_start_again(w);
        world_log_wait(w, "is an arena of another address", 1);
        assert_true(place_of(w, "probe", BT_ARENA_ADDR, &place));
        assert_int_equal(count_up(w), 1);
        world_end(w);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCENARIO(each_process_maps_a_large_arena_where_huge_pages_fit_and_asks_for_them),
                SCENARIO(a_small_arena_does_not_ask_for_them),
                SCENARIO(an_arena_has_huge_pages_when_it_has_grown_and_the_machine_gives_them),
                SCENARIO(a_swap_of_a_large_arena_by_small_pages_is_mentioned_once),
                SCENARIO(an_arena_that_an_earlier_build_stored_comes_back_at_its_own_address),
                SCENARIO(an_arena_of_an_address_that_nobody_knows_is_set_aside),
        };

        return cmocka_run_group_tests_name("the place of an arena", tests, NULL, NULL);
}
