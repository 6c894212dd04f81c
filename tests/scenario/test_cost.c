/* SPDX-License-Identifier: Apache-2.0 */
/* What a child at rest costs its hub: docs/performance.md has the numbers, this sees that they stay true. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/world.h"

#define POOL(count)                                                                                \
        "hub: w\n"                                                                                 \
        "children:\n"                                                                              \
        "  w: {exec: [@bin@/child_rows], instances: " #count ", handover: true, strategy: hot, state: {form: blob, max: 4KiB}}\n"

#define FEW 10
#define MANY 310
#define FDS_EACH 5 /* pidfd, baton, bell, channel, and one pipe where the hub's two outputs go the same way, as here */
#define BYTES_EACH 8192

static int setup(void **state)
{
        return world_setup(state);
}

static int teardown(void **state)
{
        return world_teardown(state);
}

/* At most so many; a command's connection is closed a moment after it has its answer. */
static void expect_fds(const struct world *w, int most)
{
        int fds = world_fd_count(w->pid);

        for (int tries = 0; fds > most && tries < WORLD_WAIT_MS; tries++) {
                (void)usleep(1000);
                fds = world_fd_count(w->pid);
        }
        assert_in_range(fds, 1, most);
}

#if WORLD_SLOWNESS == 1
static long pss_of(pid_t pid)
{
        char path[64], line[256];
        long kib = -1;
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (kib < 0 && fgets(line, sizeof(line), file)) {
                if (strncmp(line, "Pss:", 4) == 0)
                        kib = strtol(line + 4, NULL, 10);
        }
        (void)fclose(file);
        assert_true(kib > 0);
        return kib * 1024;
}
#endif

static void a_child_costs_the_hub_five_descriptors_also_after_an_adoption(void **state)
{
        struct world *w = *state;
        int few;

        world_start(w, POOL(10));
        few = world_fd_count(w->pid);
        world_stop(w);
        world_configure(w, POOL(310));
        world_start_again(w);
        expect_fds(w, few + (MANY - FEW) * FDS_EACH);

        world_kill_hub(w);
        world_start_again(w);
        expect_fds(w, few + (MANY - FEW) * FDS_EACH);

        /* And after each process was replaced: nothing of a predecessor stays. */
        world_swap(w, "w", NULL, BT_STRATEGY_HOT);
        expect_fds(w, few + (MANY - FEW) * FDS_EACH);
        world_stop(w);
        (void)world_reap_orphans();
        world_end(w);
}

static void a_child_costs_the_hub_at_most_8_KiB(void **state)
{
#if WORLD_SLOWNESS == 1
        struct world *w = *state;
        long few, many;

        world_start(w, POOL(10));
        few = pss_of(w->pid);
        world_stop(w);
        world_configure(w, POOL(310));
        world_start_again(w);
        many = pss_of(w->pid);
        print_message("%ld bytes for each child\n", (many - few) / (MANY - FEW));
        assert_true(many - few <= (long)(MANY - FEW) * BYTES_EACH);
        world_end(w);
#else
        (void)state;
        skip(); /* a sanitizer's own memory is many times that */
#endif
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_child_costs_the_hub_five_descriptors_also_after_an_adoption, setup, teardown),
                cmocka_unit_test_setup_teardown(a_child_costs_the_hub_at_most_8_KiB, setup, teardown),
        };

        return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}
