/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a worker answers. A message to it is the path of a file, without a NUL. */

#include <stdint.h>

struct answer {
        char digest[65]; /* in hexadecimal, NUL-terminated */
        char version[15];
        uint64_t bytes;
        int32_t pid;
        uint32_t deliveries; /* above 1: a worker before this one died of it, or with it */
};
