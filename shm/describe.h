/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a program says of itself before it is given anything: the one question that must be asked while its predecessor still serves.
 *
 *      hub                                   new program, started only for this
 *      BATON_DESCRIBE_FD=N in its environment ──►  its own start, up to baton_child_open()
 *                                  struct bt_description into N, _exit(0): nothing behind that call runs
 *
 * A program that ends or waits without an answer is not known to be wrong.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BT_DESCRIBE_VARIABLE "BATON_DESCRIBE_FD"
#define BT_MAGIC_DESCRIPTION UINT64_C(0x31534544444e5442) /* "BTNDDES1" */

struct bt_description {
        uint64_t magic;
        uint32_t layout;         /* BT_LAYOUT_VERSION of its library */
        uint32_t abi;            /* BT_ABI_THIS */
        char schema[64];         /* "": it keeps no state */
        uint32_t version;        /* that it writes */
        uint32_t version_oldest; /* that it reads */
        uint64_t reserved[5];
};
static_assert(sizeof(struct bt_description) == 128, "less than PIPE_BUF: one write, whole or not at all");

/*
 * Can a state of version @version, which its holder can also write in any version from @writable on (0: in no other), be given to a program that reads
 * @oldest .. @newest? In the newest version that both know: the smaller one of @version and @newest.
 */
bool bt_versions_meet(uint32_t version, uint32_t writable, uint32_t oldest, uint32_t newest);
/* The same as a sentence for who asked: why not. @own: schema of the program that reads. */
void bt_versions_text(char *text, size_t bytes, const char *schema, uint32_t version, uint32_t writable, const char *own, uint32_t oldest, uint32_t newest);
