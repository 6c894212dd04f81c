/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How many children a hub of this user can have on this machine, so that a question about ten thousand has an answer where fewer fit. */

#include <stddef.h>
#include <stdint.h>

/*
 * @wanted, or how many of them fit; then @ret_why says it in a sentence, else it is "". Raises our own limit of descriptors, which the hub inherits, as far
 * as that is allowed and needed.
 */
uint32_t bench_limits_children(uint32_t wanted, char *ret_why, size_t why_bytes);
