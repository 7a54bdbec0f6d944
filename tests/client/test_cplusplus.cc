/* tests/client/test_cplusplus.cc: pirene.h is C++ too, and links. */
#include "pirene.h"

int main()
{
    pirene *db = nullptr;
    if (pirene_open("127.0.0.1:1", nullptr, &db) != PIRENE_OK) return 1;
    pirene_close(db);
    return pirene_error_text(PIRENE_OK) == nullptr;
}
