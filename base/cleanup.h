/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ownership helpers.
 *
 * A local that owns something says so with BT_CLEANUP(); handing it on is visible as BT_STEAL(). Destructors take NULL (or -1) and give
 * it back, so a half-built object can always be destroyed.
 */

#define BT_CLEANUP(fn) __attribute__((__cleanup__(fn)))

/* Evaluates to the value of @x and leaves @x empty: NULL for pointers. */
#define BT_STEAL(x)                                                                                \
        ({                                                                                         \
                __typeof__(x) bt_steal_ = (x);                                                     \
                (x) = NULL;                                                                        \
                bt_steal_;                                                                         \
        })

/* The same for file descriptors: the empty value is -1. */
#define BT_STEAL_FD(fd)                                                                            \
        ({                                                                                         \
                int bt_steal_ = (fd);                                                              \
                (fd) = -1;                                                                         \
                bt_steal_;                                                                         \
        })

#define BT_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define bt_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
