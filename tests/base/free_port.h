/* tests/base/free_port.h: a port of 127.0.0.1 for a server that has to be told its own. */
#pragma once
#include <stdint.h>

/* One that nobody holds, and that is given to nobody meanwhile: it lies below those from which the system takes
 * the ports of connections, and another one each time, also in other processes. Fails the test when there is
 * none. */
uint16_t free_port(void);
