/* src/node/admin_command.h: remote commands: a name and words in, text out. */
#pragma once
#include "base/buf.h"
#include "node/survey.h"
#include "wire/messages_admin.h"

/* Append the answer to 'command', which is never an error: what is wrong is said in words. */
void admin_command_run(const struct survey *s, const struct command *command, struct buf *out);
