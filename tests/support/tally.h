/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What child_tally.c and those who send to it agree on.
 *
 * A caller numbers its messages from 1 on, and sends them one after the other. A mailbox keeps the order of one sender, so the tally knows for each message
 * whether it is the next one: a message that was lost, repeated or put back is seen at once, and counted for ever.
 */

#include <stdint.h>

#define TALLY_CALLERS 64

/* As tally_message.work_us: */
#define TALLY_HANG UINT32_MAX       /* for ever, the first time that it is delivered */
#define TALLY_DIE  (UINT32_MAX - 1) /* each time */

struct tally_message {
        uint32_t caller;  /* below TALLY_CALLERS */
        uint32_t work_us; /* between the two halves of the effect: to be killed there */
        uint64_t number;  /* 0: only look */
};

struct tally_answer {
        uint64_t total;       /* messages counted, of all callers */
        uint64_t wrong;       /* that were not the next one of their caller */
        uint64_t last;        /* number of this caller's last one */
        uint64_t redelivered; /* that were begun by a process that died */
};
