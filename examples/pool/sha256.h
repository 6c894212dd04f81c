/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SHA-256 (FIPS 180-4), written plainly: work for a processor, with a result that sha256sum can check. */

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32

struct sha256 {
        uint32_t h[8];
        uint64_t bytes;
        uint8_t block[64];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t bytes);
void sha256_end(struct sha256 *sha, uint8_t digest[SHA256_BYTES]);
