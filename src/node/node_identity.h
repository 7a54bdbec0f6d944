/* src/node/node_identity.h: who this node is, and where it belongs: numbers in files of its data
 * directory, which stay the same when the server's address changes. Blocking.
 *
 *     data_dir/node          its id, drawn at its first start
 *              incarnation   how often it was started
 *              cluster       the uuid of the cluster that it has joined; not there: none
 *              meta/         the meta group's log, when it is a member of that itself */
#pragma once
#include "io/io.h"

/* Read the id, or draw one and write it. Returns 0; E_CORRUPT: the file holds no id; E_IO, E_NOSPACE. */
int node_identity_load(struct io *io, const char *data_dir, uint64_t *id, struct err *e) MUST_CHECK;

/* Count this start, and have the number on disk: no two processes of a node have the same, nor a later one
 * a smaller. Returns as above. */
int node_incarnation_next(struct io *io, const char *data_dir, uint64_t *incarnation,
                          struct err *e) MUST_CHECK;

/* The cluster that it has joined; 0: none. Returns as above. */
int node_cluster_load(struct io *io, const char *data_dir, uint64_t *uuid,
                      struct err *e) MUST_CHECK;
int node_cluster_save(struct io *io, const char *data_dir, uint64_t uuid) MUST_CHECK;

/* May this directory be started so? Data of one cluster must never be taken for another's: the tables of
 * both are numbered from 1. Returns 0, or E_STATE and 'e' says what to do instead; E_IO. */
int node_cluster_check(struct io *io, const char *data_dir, bool is_joining, uint64_t joined,
                       struct err *e) MUST_CHECK;
