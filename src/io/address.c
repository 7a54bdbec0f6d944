/* src/io/address.c: addresses as people write them. The same in every world. */
#include <stdio.h>

#include "io/io.h"

void io_address_print(struct io_address address, char *text)
{
    (void)snprintf(text, IO_ADDRESS_TEXT_SIZE, "%u.%u.%u.%u:%u", address.ipv4 >> 24,
                   address.ipv4 >> 16 & 0xff, address.ipv4 >> 8 & 0xff, address.ipv4 & 0xff,
                   address.port);
}
