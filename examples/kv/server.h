/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * server.c: the listener and the loop; conn.c: one client; handover.c: moving all of it to another process.
 */

#include "examples/kv/state.h"

/* The private side: epoll and the listener. 0 or -errno, with a line on stderr. */
int kv_server_open(struct kv_server *server);

/* Closes every descriptor of this process and nothing else: connections live on where somebody else has them too. */
void kv_server_let_go(struct kv_server *server);

/* Serves until told to stop. The exit status. */
int kv_server_run(struct kv_server *server);

/* New clients wait, or are asked for again. */
void kv_listener_pause(struct kv_server *server, bool pause);

/* conn.c */

/* Has epoll watch a slot's descriptor for what its connection waits for. 0 or -errno. */
int kv_peer_watch(struct kv_server *server, uint32_t slot, int fd);

/* A connection that ends and that the successor of the swap under way has a descriptor of. */
void kv_peer_take_back(struct kv_server *server, const struct kv_peer *peer);

/* Executes what is in the read buffer, sends what can be sent. May close the connection. */
void kv_conn_go_on(struct kv_server *server, uint32_t slot);

/* What epoll reported about the connection @id, which may have ended since. */
void kv_conn_event(struct kv_server *server, uint64_t id, uint32_t events);

/* Ends a connection and frees its record. */
void kv_conn_close(struct kv_server *server, uint32_t slot);

/* handover.c */

/* What baton calls. */
extern const struct baton_child_ops kv_child_ops;
extern const struct baton_child_ops kv_child_ops_bad_schema;

/* KV_FAIL in the environment: fails here if it says so. */
void kv_fail_at_start(void);
bool kv_fail_is(const char *what);
