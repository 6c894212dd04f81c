/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Can this program be held before its first line? Its note says so: docs/spares.md has its bytes.
 */

/* @fd: the executable, readable; borrowed. 1: yes; 0: no, or it cannot be told: not an ELF file of this machine, no note, something before our entry. */
int bt_holds(int fd);
