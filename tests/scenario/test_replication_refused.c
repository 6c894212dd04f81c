/* SPDX-License-Identifier: Apache-2.0 */
/* Replication of a child with handover is refused wherever it comes from: by the command, with a place in the file, and by a hub that is given such a plan. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"
#include "tests/support/command.h"

#define REFUSED "invalid_config: handover_with_replication_not_supported"
#define WEB     "exec: [@bin@/child_replica], env: {REPLICA_AT: '@dir@'}"

static void COLD_10_the_file_is_refused_with_its_line_and_column(void **state)
{
        struct world *w = *state;

        world_configure(w, "hub: w\n"
                           "children:\n"
                           "  web:\n"
                           "    exec: [@bin@/child_replica]\n"
                           "    redundancy: {replication: 2}\n"
                           "    handover: true\n");
        RUN(2, "app.yaml:6:15: error: " REFUSED, "check", "app.yaml");
        RUN(2, "app.yaml:6:15: error: " REFUSED, "run", "app.yaml");
        world_configure(w, "hub: w\n"
                           "defaults: {handover: true, state: blob}\n"
                           "children:\n"
                           "  web: {exec: [@bin@/child_replica], redundancy: {replication: all}}\n");
        RUN(2, "app.yaml:4:", "check", "app.yaml");
        assert_non_null(strstr(said, REFUSED));
        world_configure(w, "hub: w\n"
                           "defaults: {handover: true, state: blob, redundancy: replication}\n"
                           "children:\n"
                           "  web: {exec: [@bin@/child_replica]}\n");
        RUN(2, "app.yaml:2:53: error: " REFUSED, "run", "app.yaml");
        world_configure(w, "hub: w\n"
                           "defaults: {handover: true, state: blob, redundancy: replication}\n"
                           "children:\n"
                           "  web: {exec: [@bin@/child_replica], handover: false}\n"
                           "  one: {exec: [@bin@/child_replica], redundancy: singularity}\n");
        RUN(0, "", "check", "app.yaml");

        /* The defaults of a node are defaults, too. */
        world_configure(w, "hub: w\n"
                           "nodes: {blue: {}, green: {defaults: {handover: true}}}\n"
                           "children:\n"
                           "  web: {exec: [@bin@/child_replica], redundancy: replication}\n");
        RUN(2, "app.yaml:2:48: error: " REFUSED, "check", "app.yaml");
        RUN(2, REFUSED, "run", "app.yaml");
        world_configure(w, "hub: w\n"
                           "nodes: {blue: {}, green: {defaults: {handover: true}}}\n"
                           "children:\n"
                           "  web: {exec: [@bin@/child_replica], redundancy: replication, handover: false}\n");
        RUN(0, "", "check", "app.yaml");
        world_end(w);
}

/* The plan of the world's file @name, with `handover` set in it behind the compiler's back; sealed as a plan is. */
static int forged(const struct world *w, const char *name, bool fragment)
{
        struct bt_config config = BT_CONFIG_NULL;
        struct bt_diag *diag = calloc(1, sizeof(*diag));
        char path[128], runtime[128], state[128];
        int fd = -1, forged_fd = memfd_create("baton-forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct bt_plan_child *child;
        struct bt_plan *plan;
        const char *error = "";
        struct stat st;

        assert_non_null(diag);
        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        (void)snprintf(state, sizeof(state), "%s/state", w->dir);
        bt_diag_init(diag, path);
        assert_int_equal((fragment ? bt_config_load_fragment : bt_config_load)(&config, diag, path, environ), 0);
        assert_int_equal(bt_compile(&fd, &config, runtime, state, &error), 0);
        bt_config_free(&config);
        free(diag);

        assert_int_equal(fstat(fd, &st), 0);
        plan = malloc((size_t)st.st_size);
        assert_non_null(plan);
        assert_int_equal(pread(fd, plan, (size_t)st.st_size, 0), st.st_size);
        (void)close(fd);
        child = (void *)((char *)(plan + 1) + plan->socket_count * sizeof(struct bt_plan_socket));
        assert_int_equal(child->handover, 0);
        child->handover = 1;
        assert_int_equal(bt_write_all(forged_fd, plan, (size_t)st.st_size), 0);
        free(plan);
        assert_int_equal(fcntl(forged_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
        return forged_fd;
}

static void COLD_10_a_hub_refuses_such_a_plan_whoever_made_it(void **state)
{
        struct world *w = *state;
        char program[640], command[1024];
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, command, NULL};
        int fd;

        world_configure(w, "hub: w\nchildren:\n  web: {" WEB ", redundancy: replication}\n");
        fd = forged(w, "app.yaml", false);
        world_program(w, program, "batond_testing");
        (void)snprintf(command, sizeof(command), "exec %s --plan 3 3< /proc/%d/fd/%d", program, (int)getpid(), fd);
        assert_int_equal(world_wait(world_spawn(w, argv, "said")), 2);
        world_read(w, "said", said, sizeof(said));
        assert_non_null(strstr(said, "the plan is not usable: " REFUSED));
        (void)close(fd);
        world_end(w);
}

/* A request to add children is refused as a whole, by the command and by the hub. */
static void COLD_10_children_that_are_added_are_refused(void **state)
{
        struct bt_ctl_request request = {.magic = BT_CTL_MAGIC, .version = BT_CTL_VERSION, .op = BT_CTL_CHILD_ADD};
        struct world *w = *state;
        struct bt_ask ask = BT_ASK_NULL;
        struct bt_ctl_reply reply = {0};
        char runtime[128];
        int fd, got = -1;

        world_file_put(w, "more.yaml",
                       "defaults: {handover: true}\nchildren:\n  web: {" WEB
                       ", redundancy: replication}\n");
        world_start(w, "hub: w\nchildren:\n  base: {" WEB "}\n");
        RUN(2, "more.yaml:3:", "child", "add", "more.yaml");
        assert_non_null(strstr(said, REFUSED));
        RUN(3, "", "child", "find", "web");

        world_configure(w, "children:\n  web: {" WEB ", redundancy: replication}\n");
        fd = forged(w, "app.yaml", true);
        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        assert_int_equal(bt_ask_open(&ask, runtime, "w", WORLD_WAIT_MS * BT_NS_PER_MS), 0);
        assert_int_equal(bt_ask_send(&ask, &request, fd), 0);
        assert_int_equal(bt_ask_reply(&ask, &reply, &got), 0);
        assert_int_equal(reply.kind, BT_CTL_DONE);
        assert_int_equal(reply.outcome, BT_CTL_INVALID);
        assert_non_null(strstr(reply.text, REFUSED));
        bt_ask_close(&ask);
        (void)close(fd);
        RUN(0, "joined", "node", "add", "green", "--default", "handover=true");
        RUN(2, REFUSED, "child", "add", "app.yaml");
        RUN(0, "left", "node", "remove", "green");
        RUN(0, "started", "child", "add", "app.yaml");
        RUN(2, REFUSED, "node", "add", "green", "--default", "handover=true");
        RUN(0, "removed", "child", "remove", "web");
        RUN(3, "", "child", "find", "web");
        world_end(w);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                ROW(COLD_10_the_file_is_refused_with_its_line_and_column),
                ROW(COLD_10_a_hub_refuses_such_a_plan_whoever_made_it),
                ROW(COLD_10_children_that_are_added_are_refused),
        };
#undef ROW

        return cmocka_run_group_tests(tests, NULL, NULL);
}
