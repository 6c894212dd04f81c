/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `baton-bench handover`. */
#include <argp.h>
#include <string.h>

#include "bench/handover.h"
#include "bench/process.h"
#include "bench/question.h"

enum {
        OPT_SIZES = 256,
        OPT_FORM,
        OPT_STRATEGY,
        OPT_EACH
};

static const struct argp_option handover_options[] = {
        {"sizes", OPT_SIZES, "LIST", 0, "Sizes of the state (1KiB,1MiB,64MiB,1GiB)", 0},
        {"form", OPT_FORM, "FORM", 0, "arena (default), blob, or all", 0},
        {"strategy", OPT_STRATEGY, "STRATEGY", 0, "hot, cold, or all (default)", 0},
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
        how->hot = !strcmp(text, "hot") || !strcmp(text, "all");
        how->cold = !strcmp(text, "cold") || !strcmp(text, "all");
        if (!how->hot && !how->cold)
                argp_error(state, "--strategy is '%s', expected hot, cold or all", text);
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
        case OPT_EACH:
                how->each = true;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
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
                .hot = true,
                .cold = true,
                .placement = "free",
        };
        int r;

        (void)argp_parse(&argp, argc, argv, 0, NULL, &how);
        if (how.options.brief)
                how.size_count = 2;
        how.rounds = bench_options_rounds(&how.options, 200, 3);
        how.warmup = bench_options_warmup(&how.options, 5, 1);
        r = bench_out_open(&out, "handover", "for how long does nobody serve?", how.options.json);
        if (r)
                return 1;
        r = bench_handover_run(&how);
        return bench_out_close(&out, r);
}
