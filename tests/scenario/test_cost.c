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

#if WORLD_SLOWNESS == 1
/* Its own memory and its part of what it shares with its children; not its program, whose pages it shares with whatever other hub runs just now. */
static long memory_of(pid_t pid)
{
        char path[64], line[256];
        long kib = 0;
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                if (!strncmp(line, "Pss_Anon:", 9) || !strncmp(line, "Pss_Shmem:", 10))
                        kib += strtol(strchr(line, ':') + 1, NULL, 10);
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
        world_until_fds(w, few + (MANY - FEW) * FDS_EACH);

        world_kill_hub(w);
        world_start_again(w);
        world_until_fds(w, few + (MANY - FEW) * FDS_EACH);

        /* And after each process was replaced: nothing of a predecessor stays. */
        world_swap(w, "w", NULL, BT_STRATEGY_HOT);
        world_until_fds(w, few + (MANY - FEW) * FDS_EACH);
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
        few = memory_of(w->pid);
        world_stop(w);
        world_configure(w, POOL(310));
        world_start_again(w);
        many = memory_of(w->pid);
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
