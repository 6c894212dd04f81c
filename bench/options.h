/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What every question can be told, as a child of its argp parser:
 *
 *      static const struct argp_child children[] = {{&bench_options_argp, 0, NULL, 0}, {0}};
 *      case ARGP_KEY_INIT: state->child_inputs[0] = &how->options; return 0;
 *
 * or, for a question that has no options of its own, bench_options_parse().
 */

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

struct bench_options {
        const char *json; /* file, "-": stdout, NULL: none */
        bool brief; /* --short: seconds, to see that it works; its numbers are no measurement */
        uint32_t rounds;  /* UINT32_MAX: the question's own choice */
        uint32_t warmup;  /* the same */
};

#define BENCH_OPTIONS_INIT {.rounds = UINT32_MAX, .warmup = UINT32_MAX}
#define BENCH_ROUNDS_MAX 1000000

extern const struct argp bench_options_argp;

/* Exits with status 2 and a complaint when it is not understood. */
void bench_options_parse(struct bench_options *options, const char *doc, int argc, char **argv);

/* A whole number of an option, or argp_error(). */
uint32_t bench_options_count(const char *option, const char *text, unsigned long least,
                             struct argp_state *state);

/* What was asked for, else @whole; with --short at most @brief. */
uint32_t bench_options_rounds(const struct bench_options *options, uint32_t whole, uint32_t brief);
uint32_t bench_options_warmup(const struct bench_options *options, uint32_t whole, uint32_t brief);
