/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The questions. Each is one file with one function that reads its own options and returns an exit status: 0 measured, 1 something failed (a request that
 * failed, a state that is not whole), 2 usage. A target that was missed is a result, not a failure. A new one is a line here, a row in main.c and, when
 * `baton-bench all` is to ask it, one in all.c.
 */

int bench_handover_main(int argc, char **argv);
int bench_spawn_main(int argc, char **argv);
int bench_restart_main(int argc, char **argv);
int bench_signal_main(int argc, char **argv);
int bench_messages_main(int argc, char **argv);
int bench_shutdown_main(int argc, char **argv);
int bench_reboot_main(int argc, char **argv);
int bench_scale_main(int argc, char **argv);
int bench_load_main(int argc, char **argv);
int bench_drive_main(int argc, char **argv);

/* About what was measured. */
int bench_all_main(int argc, char **argv);
int bench_compare_main(int argc, char **argv);
int bench_report_main(int argc, char **argv);
