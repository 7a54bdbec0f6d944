/* src/core/mlog/mlog.h: the mutation log without its files. Pure.
 *
 *     frame.h    a block, a record: structs to bytes and back
 *     scan.h     the blocks of one file, good and bad
 *     replay.h   after a crash: what is torn, what is corrupt, and who lost by it
 *     index.h    where one partition's records lie
 *     space.h    which segment is needed by whom, and what to do about it */
#pragma once
#include "core/mlog/frame.h"
#include "core/mlog/index.h"
#include "core/mlog/replay.h"
#include "core/mlog/scan.h"
#include "core/mlog/space.h"
