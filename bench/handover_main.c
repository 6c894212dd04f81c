/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `baton-bench handover`. */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "bench/handover.h"
#include "bench/process.h"
#include "bench/question.h"

#define CONNECTIONS_MAX 100000
#define BRIEF_CONNECTIONS 200

enum { OPT_SIZES = 256, OPT_FORM, OPT_STRATEGY, OPT_CONNECTIONS, OPT_PLACEMENT, OPT_EACH };

static const struct argp_option handover_options[] = {
        {"sizes", OPT_SIZES, "LIST", 0, "Sizes of the state (1KiB,1MiB,64MiB,1GiB)", 0},
        {"form", OPT_FORM, "FORM", 0, "arena (default), blob, or all", 0},
        {"strategy", OPT_STRATEGY, "LIST", 0,
         "hot, cold, unheld (the successor is started after its predecessor's end), spare; all (default) is hot,cold", 0},
        {"connections", OPT_CONNECTIONS, "LIST", 0, "Live TCP connections that are passed on (0)", 0},
        {"placement", OPT_PLACEMENT, "WORD", 0,
         "free (default); pinned: the child on one processor; fixed: everybody on one", 0},
        {"each", OPT_EACH, NULL, 0, "JSON: a line for each swap too", 0},
        {0},
};

static void parse_sizes(struct bench_handover *how, const char *text, struct argp_state *state)
{
        how->size_count = 0;
        do {
                uint64_t bytes = 0;
                const char *end = bench_size_parse(&bytes, text);

                if (!end || (*end && *end != ',') || bytes < 64 || bytes > UINT64_C(64) << 30)
                        argp_error(state,
                                   "--sizes: '%s' does not begin with a size from 64B to 64GiB, "
                                   "such as 1KiB,64MiB",
                                   text);
                if (how->size_count == BENCH_SIZES_MAX)
                        argp_error(state, "--sizes: more than %d sizes", BENCH_SIZES_MAX);
                how->sizes[how->size_count++] = bytes;
                text = end && *end ? end + 1 : NULL;
        } while (text);
}

static void parse_form(struct bench_handover *how, const char *text, struct argp_state *state)
{
        how->forms[BATON_STATE_ARENA] = !strcmp(text, "arena") || !strcmp(text, "all");
        how->forms[BATON_STATE_BLOB] = !strcmp(text, "blob") || !strcmp(text, "all");
        if (!how->forms[BATON_STATE_ARENA] && !how->forms[BATON_STATE_BLOB])
                argp_error(state, "--form is '%s', expected arena, blob or all", text);
}

static void parse_strategy(struct bench_handover *how, const char *text, struct argp_state *state)
{
        bool all = !strcmp(text, "all");

        for (int i = 0; i < _BENCH_STRATEGY_N; i++)
                how->strategies[i] = all && i <= BENCH_COLD;
        while (!all && *text) {
                size_t bytes = strcspn(text, ",");
                int i = 0;

                while (i < _BENCH_STRATEGY_N &&
                       (strlen(bench_strategy_name((enum bench_strategy)i)) != bytes || strncmp(text, bench_strategy_name((enum bench_strategy)i), bytes) != 0))
                        i++;
                if (i == _BENCH_STRATEGY_N)
                        argp_error(state, "--strategy: '%s' does not begin with hot, cold, unheld, spare or all", text);
                how->strategies[i] = true;
                text += bytes + (text[bytes] == ',');
        }
}

static void parse_connections(struct bench_handover *how, const char *text, struct argp_state *state)
{
        how->connections_count = 0;
        do {
                char *end;
                unsigned long count = strtoul(text, &end, 10);

                if (end == text || *text == '-' || (*end && *end != ',') || count > CONNECTIONS_MAX)
                        argp_error(state, "--connections: '%s' does not begin with a number from 0 to %d", text, CONNECTIONS_MAX);
                if (how->connections_count == BENCH_SIZES_MAX)
                        argp_error(state, "--connections: more than %d numbers", BENCH_SIZES_MAX);
                how->connections[how->connections_count++] = (uint32_t)count;
                text = *end ? end + 1 : NULL;
        } while (text);
}

static void parse_placement(struct bench_handover *how, const char *text, struct argp_state *state)
{
        for (int i = 0; i < _BENCH_PLACE_N; i++) {
                if (!strcmp(text, bench_placement_name((enum bench_placement)i))) {
                        how->placement = (enum bench_placement)i;
                        return;
                }
        }
        argp_error(state, "--placement is '%s', expected free, pinned or fixed", text);
}

static error_t handover_option(int key, char *arg, struct argp_state *state)
{
        struct bench_handover *how = state->input;

        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &how->options;
                return 0;
        case OPT_SIZES:
                parse_sizes(how, arg, state);
                return 0;
        case OPT_FORM:
                parse_form(how, arg, state);
                return 0;
        case OPT_STRATEGY:
                parse_strategy(how, arg, state);
                return 0;
        case OPT_CONNECTIONS:
                parse_connections(how, arg, state);
                return 0;
        case OPT_PLACEMENT:
                parse_placement(how, arg, state);
                return 0;
        case OPT_EACH:
                how->each = true;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

/* --short */
static void make_brief(struct bench_handover *how)
{
        how->size_count = how->size_count > 2 ? 2 : how->size_count;
        for (uint32_t i = 0; i < how->connections_count; i++) {
                if (how->connections[i] > BRIEF_CONNECTIONS)
                        how->connections[i] = BRIEF_CONNECTIONS;
        }
}

int bench_handover_main(int argc, char **argv)
{
        static const struct argp_child children[] = {{&bench_options_argp, 0, NULL, 0}, {0}};
        const struct argp argp = {
                .options = handover_options,
                .parser = handover_option,
                .children = children,
                .doc = "For how long does nobody serve when one process hands its state to the "
                       "next?",
        };
        struct bench_out out;
        struct bench_handover how = {
                .options = BENCH_OPTIONS_INIT,
                .out = &out,
                .sizes = {UINT64_C(1) << 10, UINT64_C(1) << 20, UINT64_C(64) << 20,
                          UINT64_C(1) << 30},
                .size_count = 4,
                .forms = {[BATON_STATE_ARENA] = true},
                .strategies = {[BENCH_HOT] = true, [BENCH_COLD] = true},
                .connections_count = 1,
        };
        int r;

        (void)argp_parse(&argp, argc, argv, 0, NULL, &how);
        if (how.options.brief)
                make_brief(&how);
        how.rounds = bench_options_rounds(&how.options, 200, 3);
        how.warmup = bench_options_warmup(&how.options, 5, 1);
        r = bench_out_open(&out, "handover", "for how long does nobody serve?", how.options.json);
        if (r)
                return 1;
        r = bench_handover_run(&how);
        return bench_out_close(&out, r);
}
