/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does the number of children cost? For 1, 10, 100, 1 000 and 10 000 of them (1 KiB of state each):
 *
 *      start      exec of `baton run` to the service of the last; beside it as many bare starts, one after the other
 *      status     the node segment asked for, and every slot read
 *      rest       context switches of the hub's threads in 10 s in which nothing happens
 *      memory     of the hub for each child: what its proportional set size (a page that two share counts half) is more than with one child
 *      swap       all of them, hot and cold, 16 at a time; each must have its state
 *      stop       in order, states kept
 *      nodes      all of them leave with a node, and are there again when it joins, with states of 1 KiB and of 1 MiB; beside as many bare
 *                 starts, as many bare forks (the target's floor), and as many forks each with the end of another; and the swap phase alone: all
 *                 successors parked, all swaps at once
 *
 * Each is measured once or twice: a thousand children are a thousand samples of what one costs. Of 10 000 there are as many as the user may have
 * (limits.c), and the row says how many that are.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/bare_start.h"
#include "bench/crowd.h"
#include "bench/limits.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/question.h"
#include "supervisor/plan.h"

#define STATE_BYTES 1024

struct scale {
        struct bench_out out;
        uint32_t rest_s;
        uint64_t base_bytes; /* of a hub with one child */
};

static void crowd_closep(struct bench_crowd *crowd)
{
        bench_crowd_close(crowd);
}

/* ---- what the kernel says about the hub ---- */

/* The sum of the numbers behind "@key" lines of @path; -errno. */
static int64_t sum_of(const char *path, const char *const *keys, size_t key_count)
{
        FILE *file = fopen(path, "re");
        char line[256];
        int64_t sum = 0;

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                for (size_t i = 0; i < key_count; i++) {
                        size_t bytes = strlen(keys[i]);

                        if (strncmp(line, keys[i], bytes) == 0)
                                sum += strtoll(line + bytes, NULL, 10);
                }
        }
        (void)fclose(file);
        return sum;
}

static int64_t memory_of(pid_t pid)
{
        static const char *const keys[] = {"Pss:"};
        char path[64];
        int64_t kib;

        (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
        kib = sum_of(path, keys, 1);
        return kib < 0 ? kib : kib * 1024;
}

/* Of all its threads. */
static int64_t switches_of(pid_t pid)
{
        static const char *const keys[] = {"voluntary_ctxt_switches:",
                                           "nonvoluntary_ctxt_switches:"};
        char path[320];
        struct dirent *entry;
        int64_t sum = 0;
        DIR *dir;

        (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        dir = opendir(path);
        if (!dir)
                return -errno;
        while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
                if (entry->d_name[0] == '.')
                        continue;
                (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid,
                               entry->d_name);
                sum += sum_of(path, keys, 2);
        }
        (void)closedir(dir);
        return sum;
}

/* ---- the parts ---- */

static void say(struct scale *scale, uint32_t count, const char *what, uint64_t ns,
                uint64_t floor_ns)
{
        char text[2][BENCH_TIME_TEXT];
        json_t *line = json_pack("{s:s, s:i, s:s, s:I}", "case", what, "children", (int)count,
                                 "what", what, "measured_ns", (json_int_t)ns);

        if (floor_ns) {
                (void)json_object_set_new(line, "floor_ns", json_integer((json_int_t)floor_ns));
                (void)json_object_set_new(line, "ratio", json_real(bench_ratio(ns, floor_ns)));
        }
        bench_out_line(&scale->out, "scale", line);
        bench_out_say(&scale->out, "%-8" PRIu32 "%-12s%14s", count, what,
                      bench_time_text(text[0], ns));
        if (floor_ns)
                bench_out_say(&scale->out, "   floor %s, ratio %.2f",
                              bench_time_text(text[1], floor_ns), bench_ratio(ns, floor_ns));
        bench_out_say(&scale->out, "\n");
}

static int starts_measure(uint32_t count, uint64_t *ret_ns)
{
        struct bench_bare_start bare = BENCH_BARE_NULL;
        int r = bench_bare_open(&bare, count);

        if (!r)
                r = bench_bare_start_all(&bare, ret_ns);
        bench_bare_close(&bare);
        return r;
}

/* As many forks; and as many again, each with the end of one that was there, which is what a move makes of processes. */
static int forks_measure(uint32_t count, uint64_t *ret_ns, uint64_t *ret_replaced_ns)
{
        struct bench_bare_start bare = BENCH_BARE_NULL;
        int r = bench_bare_open(&bare, count);

        if (!r)
                r = bench_bare_fork_all(&bare, ret_ns);
        if (!r)
                r = bench_bare_replace_all(&bare, ret_replaced_ns);
        bench_bare_close(&bare);
        return r;
}

static int status_measure(struct scale *scale, const struct bench_crowd *crowd)
{
        uint64_t begun = bt_now_ns();
        struct bt_node_view view;
        struct bt_slot slot;
        uint32_t running = 0, used;
        int r = bench_daemon_status(&crowd->daemon, &view);

        if (r)
                return r;
        used = atomic_load(&view.node->slots_used);
        for (uint32_t i = 0; i < used && i < view.slot_count; i++)
                running += bt_node_read(&view, i, &slot) && slot.phase == BT_PHASE_RUNNING;
        bt_node_detach(&view);
        say(scale, crowd->count, "status", bt_now_ns() - begun, 0);
        if (running != crowd->count)
                bench_complain("%" PRIu32 " of %" PRIu32 " children run", running, crowd->count);
        return running == crowd->count ? 0 : -EPROTO;
}

static int rest_measure(struct scale *scale, const struct bench_crowd *crowd)
{
        const struct timespec settle = {.tv_sec = scale->rest_s > 1},
                              rest = {.tv_sec = scale->rest_s};
        char name[16];
        int64_t from, to, bytes;

        (void)nanosleep(&settle, NULL);
        from = switches_of(crowd->daemon.process.pid);
        (void)nanosleep(&rest, NULL);
        to = switches_of(crowd->daemon.process.pid);
        bytes = memory_of(crowd->daemon.process.pid);
        if (from < 0 || to < 0 || bytes < 0) {
                bench_complain("the kernel says nothing about the hub: %s",
                               strerrordesc_np((int)-(bytes < 0 ? bytes : from)));
                return -EIO;
        }
        (void)snprintf(name, sizeof(name), "%" PRIu32, crowd->count);
        bench_out_value(&scale->out, name, "wakeups", (double)(to - from),
                        scale->rest_s == 10 ? "in 10 s" : "in 1 s");
        if (crowd->count == 1)
                scale->base_bytes = (uint64_t)bytes;
        bench_out_value(&scale->out, name, "hub_bytes", (double)bytes, "bytes");
        if (crowd->count > 1)
                bench_out_value(&scale->out, name, "hub_bytes_per_child",
                                ((double)bytes - (double)scale->base_bytes) / (crowd->count - 1),
                                "bytes");
        return 0;
}

static int swaps_measure(struct scale *scale, struct bench_crowd *crowd)
{
        uint64_t ns;
        int r = bench_crowd_swap(crowd, BT_STRATEGY_HOT, &ns);

        if (r)
                return r;
        say(scale, crowd->count, "swap-hot", ns, 0);
        r = bench_crowd_swap(crowd, BT_STRATEGY_COLD, &ns);
        if (!r)
                say(scale, crowd->count, "swap-cold", ns, 0);
        return r;
}

static int count_measure(struct scale *scale, uint32_t count)
{
        BT_CLEANUP(crowd_closep) struct bench_crowd crowd = BENCH_CROWD_NULL;
        uint64_t start_ns = 0, floor_ns = 0, stored_ns, stop_ns = 0;
        char why[160], name[16];
        uint32_t wanted;
        int r;

        wanted = count;
        count = bench_limits_children(wanted, why, sizeof(why));
        if (*why) {
                bench_out_say(&scale->out, "%s\n", why);
                (void)snprintf(name, sizeof(name), "%" PRIu32, count);
                bench_out_value(&scale->out, name, "wanted", wanted, "children");
        }
        r = starts_measure(count, &floor_ns);
        if (!r)
                r = bench_crowd_open(&crowd, count, STATE_BYTES);
        if (!r)
                r = bench_crowd_start(&crowd, &start_ns);
        if (!r) {
                say(scale, count, "start", start_ns, floor_ns);
                r = status_measure(scale, &crowd);
        }
        if (!r)
                r = rest_measure(scale, &crowd);
        if (!r)
                r = swaps_measure(scale, &crowd);
        if (!r)
                r = bench_crowd_stop(&crowd, &stored_ns, &stop_ns);
        if (!r)
                say(scale, count, "stop", stop_ns, 0);
        return r;
}

/* ---- nodes ---- */

struct floors {
        uint64_t forks_ns; /* the target's */
        uint64_t replaced_ns;
        uint64_t starts_ns;
};

/* @prefix: of the names, "" for a leave, which the table of targets judges. */
static void moved(struct scale *scale, const char *name, const char *prefix, uint64_t ns,
                  const struct floors *floors)
{
        const struct {
                const char *what;
                double value;
                const char *unit;
        } values[] = {
                {"total_ms", (double)ns / 1e6, "ms"},
                {"ratio", bench_ratio(ns, floors->forks_ns), "of bare forks"},
                {"ratio_to_replaced", bench_ratio(ns, floors->replaced_ns),
                 "of bare forks and ends"},
                {"ratio_to_starts", bench_ratio(ns, floors->starts_ns), "of bare starts"},
        };
        char what[64];

        for (size_t i = 0; i < BT_ARRAY_LEN(values); i++) {
                (void)snprintf(what, sizeof(what), "%s%s", prefix, values[i].what);
                bench_out_value(&scale->out, name, what, values[i].value, values[i].unit);
        }
}

static int move_there_and_back(uint32_t count, uint64_t bytes, bool zygote, uint64_t *ret_leave_ns,
                               uint64_t *ret_join_ns)
{
        BT_CLEANUP(crowd_closep) struct bench_crowd crowd = BENCH_CROWD_NULL;
        uint64_t start_ns;
        int r = bench_crowd_open_nodes(&crowd, count, bytes, zygote);

        if (!r)
                r = bench_crowd_start(&crowd, &start_ns);
        if (!r)
                r = bench_crowd_move(&crowd, BENCH_CROWD_LEAVE, ret_leave_ns);
        if (!r)
                r = bench_crowd_move(&crowd, BENCH_CROWD_JOIN, ret_join_ns);
        return r;
}

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

/* The median of three. */
static int swap_phase_measure(uint32_t count, uint64_t bytes, uint64_t *ret_ns)
{
        BT_CLEANUP(crowd_closep) struct bench_crowd crowd = BENCH_CROWD_NULL;
        uint64_t ns[3] = {0};
        int r = bench_crowd_open_together(&crowd, count, bytes);

        if (!r)
                r = bench_crowd_start(&crowd, &ns[0]);
        for (size_t i = 0; !r && i < BT_ARRAY_LEN(ns); i++)
                r = bench_crowd_swap_parked(&crowd, &ns[i]);
        qsort(ns, BT_ARRAY_LEN(ns), sizeof(ns[0]), by_size);
        *ret_ns = ns[BT_ARRAY_LEN(ns) / 2];
        return r;
}

/* Forked from a zygote, which the table of targets judges, and executed. */
static int nodes_measure(struct scale *scale, uint32_t count, uint64_t bytes)
{
        uint64_t leave_ns[2] = {0}, join_ns[2] = {0}, swap_ns = 0;
        char name[48], size[BENCH_SIZE_TEXT];
        struct floors floors = {0};
        int r = forks_measure(count, &floors.forks_ns, &floors.replaced_ns);

        if (!r)
                r = starts_measure(count, &floors.starts_ns);
        for (int exec = 0; !r && exec <= 1; exec++)
                r = move_there_and_back(count, bytes, !exec, &leave_ns[exec], &join_ns[exec]);
        if (!r)
                r = swap_phase_measure(count, bytes, &swap_ns);
        if (r)
                return r;
        (void)snprintf(name, sizeof(name), "nodes-%" PRIu32 "x%s", count,
                       bench_size_text(size, bytes));
        bench_out_value(&scale->out, name, "forks_ms", (double)floors.forks_ns / 1e6, "ms");
        bench_out_value(&scale->out, name, "replaced_ms", (double)floors.replaced_ns / 1e6, "ms");
        bench_out_value(&scale->out, name, "starts_ms", (double)floors.starts_ns / 1e6, "ms");
        bench_out_value(&scale->out, name, "swap_ms", (double)swap_ns / 1e6, "ms");
        moved(scale, name, "", leave_ns[0], &floors);
        moved(scale, name, "join_", join_ns[0], &floors);
        moved(scale, name, "exec_", leave_ns[1], &floors);
        moved(scale, name, "exec_join_", join_ns[1], &floors);
        return 0;
}

static int nodes_measure_all(struct scale *scale, bool brief)
{
        static const uint32_t counts[] = {1, 10, 100, 1000};
        static const uint64_t sizes[] = {UINT64_C(1) << 10, UINT64_C(1) << 20};
        int r = 0;

        for (size_t size = 0; !r && size < BT_ARRAY_LEN(sizes); size++) {
                for (size_t i = 0; !r && i < (brief ? 2 : BT_ARRAY_LEN(counts)); i++)
                        r = bench_interrupted() ? -EINTR
                                                : nodes_measure(scale, counts[i], sizes[size]);
        }
        return r;
}

struct how {
        struct bench_options options;
        uint32_t nodes; /* only this row; 0: all */
};

enum {
        OPT_NODES = 'n'
};

static const struct argp_option options_list[] = {
        {"nodes", OPT_NODES, "COUNT", 0,
         "Only the move of COUNT children with 1 KiB from one node to another", 0},
        {0},
};

static error_t how_parse(int key, char *arg, struct argp_state *state)
{
        struct how *how = state->input;

        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &how->options;
                return 0;
        case OPT_NODES:
                how->nodes = bench_options_count("--nodes", arg, 1, state);
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static int measure(struct scale *scale, const struct how *how)
{
        static const uint32_t counts[] = {1, 10, 100, 1000, 10000};
        bool brief = how->options.brief;
        int r = 0;

        if (how->nodes)
                return nodes_measure(scale, how->nodes, STATE_BYTES);
        for (size_t i = 0; !r && i < (brief ? 2 : BT_ARRAY_LEN(counts)); i++)
                r = bench_interrupted() ? -EINTR : count_measure(scale, counts[i]);
        return r ? r : nodes_measure_all(scale, brief);
}

int bench_scale_main(int argc, char **argv)
{
        static const struct argp_child children[] = {{&bench_options_argp, 0, NULL, 0}, {0}};
        static const struct argp argp = {.options = options_list,
                                         .parser = how_parse,
                                         .doc = "What does the number of children cost?",
                                         .children = children};
        struct how how = {.options = BENCH_OPTIONS_INIT};
        struct scale scale = {0};
        int r;

        (void)argp_parse(&argp, argc, argv, 0, NULL, &how);
        scale.rest_s = how.options.brief ? 1 : 10;
        if (bench_out_open(&scale.out, "scale", "what does the number of children cost?",
                           how.options.json))
                return 1;
        r = bench_process_guard();
        if (!r)
                r = measure(&scale, &how);
        return bench_out_close(&scale.out, r);
}
