/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Is an LMDB file whole? Asked before LMDB maps it, because LMDB believes what its pages say.
 *
 * The file is read, not mapped, and nothing of it is followed without being checked: whatever is in it, the walk ends, after each page was read at most once.
 */

/* 0: LMDB can be let at it, or it is of a format that this does not know; BT_ENGINE_E_DAMAGED; -errno. @fd is borrowed. */
int bt_store_walk(int fd);
