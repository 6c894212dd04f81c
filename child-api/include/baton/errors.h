/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Errors of the public interface. Every function returns 0 (or a value it documents) or a negative number: -errno or -BATON_E_*.
 * The values of BATON_E_* lie above every errno, so one switch can hold both. errno itself is never part of the interface.
 */

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* the library is built with -fvisibility=hidden */

enum baton_error {
        BATON_E_BASE = 4096,
        BATON_E_STALE = 4097,    /* a newer incarnation owns the baton: exit */
        BATON_E_TOO_BIG = 4098,  /* larger than the child's spec allows */
        BATON_E_SCHEMA = 4099,   /* the state's schema cannot be read by this program */
        BATON_E_CORRUPT = 4100,  /* a checksum, magic or length is wrong */
        BATON_E_LAYOUT = 4101,   /* segment of another layout version or machine */
        BATON_E_PROTOCOL = 4102, /* call not allowed now, e.g. capture functions outside capture() */
        BATON_E_FORKED = 4103,   /* handle used in a fork()ed copy of its process */
        BATON_E_FDS = 4104,      /* descriptors of the hand-over are missing or too many */
        BATON_E_ADDRESS = 4105,  /* the arena's fixed address is taken in this process */
        BATON_E_TORN = 4106,     /* the arena's holder died inside baton_arena_begin/end */
        BATON_E_GONE = 4107,     /* the hub is gone; of a client: the child was removed, or its hub has stopped */
        BATON_E_SET_ASIDE = 4108, /* of a call: each process that had the message in hand died, mailbox.deliveries times */
};

/**
 * baton_strerror() - a sentence for an error
 * @error: negative return value of a function of this library (a positive one is taken as its negative)
 *
 * Returns a constant string, never NULL. Context: async-signal-safe, any thread. Since: 0.1
 */
const char *baton_strerror(int error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
