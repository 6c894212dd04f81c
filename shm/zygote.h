/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a hub and a zygote say to each other, over a SOCK_SEQPACKET socket whose number in the zygote is in BATON_ZYGOTE_FD (docs/zygotes.md).
 *
 *      hub → zygote    struct bt_zygote_ask, with its descriptors: fork one
 *      zygote → hub    READY; REFUSED: it cannot be one; FAILED: the fork of @token did not work
 *      child → hub     FORKED: here is @token. Its pid is the sender's, as the kernel says (SCM_CREDENTIALS)
 */

#include <stdint.h>

#include "shm/layout.h"

#define BT_ZYGOTE_VARIABLE "BATON_ZYGOTE_FD"
#define BT_ZYGOTE_MAGIC    0x5a594754u
#define BT_ZYGOTE_FDS_MAX  24 /* its output, its link and what the link names */

struct bt_zygote_ask {
        uint32_t magic;
        uint32_t count; /* of descriptors */
        uint64_t token;
        int32_t hub_pid; /* whose children we are: a child with another parent has lost its hub */
        int32_t to[BT_ZYGOTE_FDS_MAX]; /* their numbers in the child */
        uint32_t reserved;
};

enum bt_zygote_what {
        BT_ZYGOTE_READY = 1,
        BT_ZYGOTE_REFUSED = 2,
        BT_ZYGOTE_FORKED = 3,
        BT_ZYGOTE_FAILED = 4,
};

struct bt_zygote_say {
        uint32_t magic;
        uint32_t what; /* enum bt_zygote_what */
        uint64_t token;
        uint32_t error; /* FAILED: positive errno */
        char text[108]; /* REFUSED: why */
};
