/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Types that the child's and the hub's interfaces share. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BATON_ID_BYTES_MAX 63     /* a child's id, e.g. "web/1", without the terminator */
#define BATON_NAME_BYTES_MAX 63   /* names of sockets, kept descriptors, schemas */

/* Why this incarnation was given the baton. */
enum baton_reason {
        BATON_REASON_FRESH = 0,    /* first start, or nothing to inherit */
        BATON_REASON_HOT = 1,      /* successor in a hot swap: the predecessor lives, and waits */
        BATON_REASON_COLD = 2,     /* successor in a cold swap: the predecessor is gone */
        BATON_REASON_CRASH = 3,    /* the predecessor died unasked */
        BATON_REASON_REBOOT = 4,   /* the hub was started again; the state was in its store */
        BATON_REASON_ROLLBACK = 5, /* a cold swap failed; this is the previous binary again */
        BATON_REASON_RESTART = 6,  /* the predecessor was ended in order and not replaced: its group was restarted, or somebody restarted it */
        _BATON_REASON_N,
};

/* Which of the instances of a replicated child works: docs/redundancy.md. */
enum baton_mode {
        BATON_MODE_SINGLE = 0,  /* not replicated, or unsupervised: there is no other */
        BATON_MODE_ACTIVE = 1,  /* do the work */
        BATON_MODE_PASSIVE = 2, /* stand by: another instance is, or may be, active */
        _BATON_MODE_N,
};

/* What a capture is for. */
enum baton_capture_for {
        BATON_CAPTURE_HOT = 0,      /* a successor waits for it; every microsecond is part of the pause */
        BATON_CAPTURE_COLD = 1,     /* this process ends, a successor starts on this host */
        BATON_CAPTURE_SHUTDOWN = 2, /* the hub stops; the state goes to disk, descriptors do not survive */
        BATON_CAPTURE_CHECKPOINT = 3, /* a copy in case this process dies: no descriptors, and go on serving after it */
        _BATON_CAPTURE_N,
};

enum baton_state_form {
        BATON_STATE_NONE = 0,
        BATON_STATE_BLOB = 1,  /* capture() writes bytes, restore() reads them */
        BATON_STATE_ARENA = 2, /* the live data is in the baton, at one fixed address */
        _BATON_STATE_N,
};

/* A descriptor on its way from predecessor to successor. */
struct baton_fd {
        uint64_t tag; /* the predecessor's word for it */
        int fd;       /* O_CLOEXEC; owned by whoever the callback's comment says */
        int reserved;
};

#ifdef __cplusplus
}
#endif
