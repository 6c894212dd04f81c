/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "bench/options.h"

#include <stdlib.h>

enum {
        OPT_JSON = 512,
        OPT_SHORT,
        OPT_ROUNDS,
        OPT_WARMUP
};

static const struct argp_option options_list[] = {
        {"json", OPT_JSON, "FILE", 0, "Write JSON lines to FILE; '-': to stdout, without the table",
         10},
        {"short", OPT_SHORT, NULL, 0,
         "Few and small rounds, some seconds: to see that it works, not to measure", 10},
        {"rounds", OPT_ROUNDS, "N", 0, "Rounds counted in each series", 10},
        {"warmup", OPT_WARMUP, "N", 0, "Rounds before that, not counted", 10},
        {0},
};

uint32_t bench_options_count(const char *option, const char *text, unsigned long least,
                             struct argp_state *state)
{
        char *end;
        unsigned long count = strtoul(text, &end, 10);

        if (*text < '0' || *text > '9' || *end || count < least || count > BENCH_ROUNDS_MAX)
                argp_error(state, "%s is '%s', expected a number from %lu to %d", option, text,
                           least, BENCH_ROUNDS_MAX);
        return (uint32_t)count;
}

static error_t options_parse(int key, char *arg, struct argp_state *state)
{
        struct bench_options *options = state->input;

        switch (key) {
        case OPT_JSON:
                options->json = arg;
                return 0;
        case OPT_SHORT:
                options->brief = true;
                return 0;
        case OPT_ROUNDS:
                options->rounds = bench_options_count("--rounds", arg, 1, state);
                return 0;
        case OPT_WARMUP:
                options->warmup = bench_options_count("--warmup", arg, 0, state);
                return 0;
        case ARGP_KEY_ARG:
                argp_error(state, "unexpected argument '%s'", arg);
                return EINVAL;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

const struct argp bench_options_argp = {.options = options_list, .parser = options_parse};

void bench_options_parse(struct bench_options *options, const char *doc, int argc, char **argv)
{
        const struct argp argp = {.options = options_list, .parser = options_parse, .doc = doc};

        (void)argp_parse(&argp, argc, argv, 0, NULL, options);
}

/* --short is a bound: `all --short` says it beside the rounds of the whole run. */
static uint32_t choose(uint32_t asked, uint32_t usual, uint32_t most)
{
        uint32_t wanted = asked != UINT32_MAX ? asked : usual;

        return wanted < most ? wanted : most;
}

uint32_t bench_options_rounds(const struct bench_options *options, uint32_t whole, uint32_t brief)
{
        return choose(options->rounds, whole, options->brief ? brief : UINT32_MAX);
}

uint32_t bench_options_warmup(const struct bench_options *options, uint32_t whole, uint32_t brief)
{
        return choose(options->warmup, whole, options->brief ? brief : UINT32_MAX);
}
